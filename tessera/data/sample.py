"""The embedded sample competition: synthetic vessels in noisy 16-bit stacks.

It stands in for a real download, so it carries the traits that break naive pipelines: stacks of
differing, non-square sizes, a private 16-bit scale for each volume, mostly empty area, look-alikes
that only the neighbouring slices expose, and two organs that want different thresholds.

Signal is measured in units of kidney contrast (1.0 = a kidney vessel over its tissue) until the
scanner turns it into 16-bit counts; lengths are pixels, depths are slices. Noise, scratches and
margins are tuned together: a tiny network learns enough from some 400 crops, more from three slices
than from one, and the organs disagree on the threshold.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import tifffile

from tessera import rle

SIDE_RANGE = (160, 280)  # px; always above the 128-px patches of the shipped params
MIN_RADIUS = 1.0  # px; a thinner vessel would break into dots
SWAY_LENGTH = 40.0  # px a radian: neighbouring vessels move alike, distant ones do not
FIXED_POINT_BITS = 4  # cv2 draws at 1/16 px, so that widths and drift are not rounded to pixels
TREES = 2  # per volume, 2-6 % of its area
BRANCHES = 3  # per tree
SCRATCHES = 1.2  # mean number a slice: they look like vessels, yet live in one slice only
BLOBS = 3  # per volume: bright, compact and unlabelled
BLOB_SIGNAL = 1.2
TISSUE_SIGNAL = 0.8  # the step at the edge of the organ, an edge without a label
GRAIN_SIGNAL = 0.2  # std of the noise of single pixels
MOTTLE_SIGNAL = 0.17  # std of the noise as wide as a vessel, which no in-plane filter removes
MOTTLE_WIDTH = 1.5  # px, sigma
EMPTY_EVERY = 3  # volumes; one of them ends with a slice below the organ, hence an empty mask


@dataclass(frozen=True)
class Organ:
    """What sets an organ apart: how bright its vessels are and how widely they are annotated."""

    name: str
    contrast: float  # signal of a vessel over the tissue
    margin: float  # px the annotators add to the radius; its sign moves the best threshold


@dataclass(frozen=True)
class Patient:
    """The look of one patient's tissue, shared by all of the patient's volumes."""

    name: str
    level: float  # signal
    gain: float
    tilt: np.ndarray  # (2,) signal across the width and the height


@dataclass(frozen=True)
class Vessel:
    """A tube that swells and vanishes along the stack."""

    path: np.ndarray  # (N, 2) float xy in px, one point a pixel of length
    radius: float  # px at its centre depth
    centre: float  # slices
    reach: float  # slices from the centre to either end


@dataclass(frozen=True)
class Tube:
    """What one slice shows of a vessel, or of something that looks like one."""

    path: np.ndarray  # (N, 2) float xy in px
    radius: float  # px


@dataclass(frozen=True)
class Drift:
    """How far the vessels move in the plane from one slice to the next, in px; below a radius."""

    steady: np.ndarray  # (2,) xy
    wave: float
    phase: float


@dataclass(frozen=True)
class Volume:
    """One stack: its rows in the tables, its slices and their masks."""

    name: str
    patient: str
    organ: str
    images: list[np.ndarray]  # (H, W) uint16
    masks: list[np.ndarray]  # (H, W) uint8, 0 or 1


KIDNEY = Organ("kidney", contrast=1.0, margin=-0.1)
LIVER = Organ("liver", contrast=0.8, margin=0.5)
ORGANS = (KIDNEY, LIVER)


def write_sample(folder: Path, *, patients: int, test_patients: int, volumes: int, slices: int, seed: int) -> None:
    """Write the competition into `folder`; the same arguments give the same bytes."""
    train = list(_draw_volumes(range(patients), volumes, slices, seed))
    held_out = range(patients, patients + test_patients)
    test = list(_draw_volumes(held_out, volumes, slices, seed))
    _write_images(folder / "train_images", train)
    _write_images(folder / "test_images", test)
    truth = _rle_table(test)
    _rle_table(train).to_csv(folder / "train.csv", index=False)
    _volume_table(train + test).to_csv(folder / "volumes.csv", index=False)
    truth.assign(rle="").to_csv(folder / "sample_submission.csv", index=False)
    truth.to_csv(folder / "solution.csv", index=False)


def _draw_volumes(indices: range, volumes: int, slices: int, seed: int) -> Iterator[Volume]:
    """Draw all volumes of the patients with these 0-based indices.

    Organs alternate over patients and over volumes, so that two of either hold both organs. Each
    volume owns a random stream: more patients or volumes leave the earlier ones as they were.
    """
    for index in indices:
        patient = _draw_patient(np.random.default_rng([seed, index]), index)
        for number in range(volumes):
            rng = np.random.default_rng([seed, index, number + 1])
            organ = ORGANS[(index + number) % len(ORGANS)]
            ends_empty = (index + number) % EMPTY_EVERY == 0
            name = f"{patient.name}_v{number + 1}"
            images, masks = _draw_stack(rng, patient, organ, slices, ends_empty=ends_empty)
            yield Volume(name, patient.name, organ.name, images, masks)


def _draw_patient(rng: np.random.Generator, index: int) -> Patient:
    return Patient(
        name=f"p{index + 1:02d}",
        level=rng.uniform(-0.5, 0.5),
        gain=rng.uniform(0.85, 1.2),
        tilt=rng.uniform(-0.5, 0.5, size=2),
    )


def _draw_stack(
    rng: np.random.Generator, patient: Patient, organ: Organ, slices: int, *, ends_empty: bool
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Draw the anatomy once, then each slice of it with noise of its own.

    Returns the (H, W) uint16 images and the (H, W) uint8 masks, one of each a slice.
    """
    shape = _draw_shape(rng)
    vessels = [vessel for _ in range(TREES) for vessel in _grow_tree(rng, shape, slices)]
    drift = Drift(rng.uniform(-0.6, 0.6, 2), rng.uniform(0.2, 0.5), rng.uniform(0, 2 * np.pi))
    shading, tissue = _shading(patient, shape), _draw_tissue(rng, shape)
    to_counts = _draw_scanner(rng)
    images, masks = [], []
    for depth in range(slices):
        below_organ = ends_empty and depth == slices - 1
        tubes = [] if below_organ else _cut(vessels, drift, depth)
        streaks = _draw_scratches(rng, shape)
        bright = np.maximum(_paint(tubes, shape), _paint(streaks, shape))
        anatomy = patient.gain * organ.contrast * bright + (not below_organ) * tissue
        images.append(to_counts(shading + anatomy + _draw_noise(rng, shape)))
        masks.append(_annotate(tubes, shape, organ.margin))
    return images, masks


def _draw_shape(rng: np.random.Generator) -> tuple[int, int]:
    """Height and width in px, never equal."""
    height, width = rng.choice(np.arange(*SIDE_RANGE), size=2, replace=False)
    return int(height), int(width)


def _draw_scanner(rng: np.random.Generator) -> Callable[[np.ndarray], np.ndarray]:
    """The map from signal to 16-bit counts of one volume: only its percentiles undo it."""
    offset = rng.uniform(6_000, 20_000)  # counts
    gain = np.exp(rng.uniform(np.log(300), np.log(3_000)))  # counts a unit of signal
    return lambda signal: np.clip(offset + gain * signal, 0, 65_535).astype(np.uint16)


def _shading(patient: Patient, shape: tuple[int, int]) -> np.ndarray:
    """The slow (H, W) background of a patient, in signal."""
    height, width = shape
    across = patient.tilt[0] * np.linspace(-1, 1, width)
    down = patient.tilt[1] * np.linspace(-1, 1, height)
    return patient.level + across[None, :] + down[:, None]


def _draw_tissue(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """The organ's (H, W) outline and its blobs, in signal: structures without a label."""
    height, width = shape
    tissue = np.zeros(shape, np.float32)
    middle = (round(width * rng.uniform(0.45, 0.55)), round(height * rng.uniform(0.45, 0.55)))
    axes = (round(width * rng.uniform(0.42, 0.55)), round(height * rng.uniform(0.42, 0.55)))
    cv2.ellipse(tissue, middle, axes, rng.uniform(-20, 20), 0, 360, TISSUE_SIGNAL, cv2.FILLED)
    blobs = rng.uniform((0, 0), (width, height), size=(BLOBS, 2))
    circles = [Tube(blob[None], rng.uniform(5, 9)) for blob in blobs]
    return tissue + BLOB_SIGNAL * _paint(circles, shape)


def _grow_tree(rng: np.random.Generator, shape: tuple[int, int], slices: int) -> Iterator[Vessel]:
    """A trunk that crosses the slice and branches that leave it."""
    height, width = shape
    side = rng.uniform(0, 2 * np.pi)
    edge = 0.4 * np.array([width * np.cos(side), height * np.sin(side)])
    inwards = side + np.pi + rng.uniform(-0.6, 0.6)
    trunk = _walk(rng, np.array([width, height]) / 2 + edge, inwards, rng.uniform(90, 140))
    yield Vessel(trunk, rng.uniform(1.8, 2.8), *_draw_extent(rng, slices))
    for start in rng.integers(10, len(trunk) - 10, size=BRANCHES):
        ahead = trunk[start + 5] - trunk[start]
        heading = np.arctan2(ahead[1], ahead[0]) + rng.choice([-1, 1]) * rng.uniform(0.5, 1.0)
        twig = _walk(rng, trunk[start], heading, rng.uniform(35, 70))
        yield Vessel(twig, rng.uniform(1.3, 2.0), *_draw_extent(rng, slices))


def _draw_extent(rng: np.random.Generator, slices: int) -> tuple[float, float]:
    """Centre and reach of a vessel in depth; a reach spans several neighbours."""
    return rng.uniform(0, slices - 1), rng.uniform(4, 8)


def _walk(rng: np.random.Generator, start: np.ndarray, heading: float, length: float) -> np.ndarray:
    """A gently winding (N, 2) xy path with one point a pixel of length."""
    turns = np.cumsum(rng.normal(0, 0.05, size=round(length)))
    headings = heading + turns
    return start + np.cumsum(np.stack([np.cos(headings), np.sin(headings)], axis=1), axis=0)


def _draw_scratches(rng: np.random.Generator, shape: tuple[int, int]) -> list[Tube]:
    """Tubes of this slice alone, in the plane just like vessels."""
    starts = rng.uniform((0, 0), shape[::-1], size=(rng.poisson(SCRATCHES), 2))
    return [
        Tube(
            _walk(rng, start, rng.uniform(0, 2 * np.pi), rng.uniform(30, 70)),
            rng.uniform(1.3, 2.5),
        )
        for start in starts
    ]


def _cut(vessels: list[Vessel], drift: Drift, depth: int) -> list[Tube]:
    """The vessels as they appear at this depth: moved, thinner towards their ends."""
    tubes = []
    for vessel in vessels:
        fade = 1 - ((depth - vessel.centre) / vessel.reach) ** 2
        radius = vessel.radius * np.sqrt(max(fade, 0))
        if radius >= MIN_RADIUS:
            sway = drift.wave * np.sin(vessel.path[:, ::-1] / SWAY_LENGTH + drift.phase)
            tubes.append(Tube(vessel.path + depth * (drift.steady + sway), radius))
    return tubes


def _paint(tubes: list[Tube], shape: tuple[int, int], margin: float = 0.0) -> np.ndarray:
    """The (H, W) float coverage in 0..1 by the tubes, their radii widened by `margin` px."""
    canvas = np.zeros(shape, np.uint8)
    scale = 1 << FIXED_POINT_BITS
    for tube in tubes:
        radius = round((tube.radius + margin) * scale)
        for x, y in np.rint(tube.path * scale).astype(int).tolist():
            cv2.circle(canvas, (x, y), radius, 255, cv2.FILLED, cv2.LINE_AA, FIXED_POINT_BITS)
    return canvas.astype(np.float32) / 255


def _annotate(tubes: list[Tube], shape: tuple[int, int], margin: float) -> np.ndarray:
    """The (H, W) uint8 mask an annotator draws, 0 or 1."""
    return (_paint(tubes, shape, margin) > 0.5).astype(np.uint8)


def _draw_noise(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Grain and mottle of one slice, (H, W) in signal, independent of the other slices."""
    mottle = cv2.GaussianBlur(rng.standard_normal(shape), None, MOTTLE_WIDTH)
    # The blur shrinks the std of white noise by 2 sqrt(pi) sigma: this undoes it.
    mottle *= MOTTLE_SIGNAL * 2 * np.sqrt(np.pi) * MOTTLE_WIDTH
    return GRAIN_SIGNAL * rng.standard_normal(shape) + mottle


def _write_images(folder: Path, volumes: list[Volume]) -> None:
    """Write `<volume>/<slice>.tif`, without the tags that would vary between runs or releases."""
    for volume in volumes:
        (folder / volume.name).mkdir(parents=True, exist_ok=True)
        for depth, image in enumerate(volume.images):
            path = folder / volume.name / f"{depth:03d}.tif"
            tifffile.imwrite(path, image, compression="zlib", metadata=None, software=False)


def _rle_table(volumes: list[Volume]) -> pd.DataFrame:
    """One row a slice: `id` is `<volume>_<slice>`, `rle` is column-major and 1-based."""
    rows = [
        (f"{volume.name}_{depth:03d}", rle.encode(mask))
        for volume in volumes
        for depth, mask in enumerate(volume.masks)
    ]
    return pd.DataFrame(rows, columns=["id", "rle"])


def _volume_table(volumes: list[Volume]) -> pd.DataFrame:
    """One row a volume: `id`, `patient`, `organ`."""
    rows = [(volume.name, volume.patient, volume.organ) for volume in volumes]
    return pd.DataFrame(rows, columns=["id", "patient", "organ"])
