"""What a JSON document says of polygons, in the forms found in the field.

A list, `{"features": […]}` or `{"annotations": […]}` of: GeoJSON Features (HuBMAP's kidneys, QuPath; the class is
`properties.classification.name`), `{"type": <class>, "coordinates": …}` (HuBMAP's vessels), or bare rings (HuBMAP + HPA).
"""

import numpy as np

from tessera.errors import InputError

AREAS = ("Polygon", "MultiPolygon")
Polygon = list[list]  # rings: the outer one, then its holes; a ring is a list of [x, y]


def members(document: object) -> list:
    """The polygons that a document lists. Raises InputError: it lists none."""
    for key in ("features", "annotations"):
        if isinstance(document, dict) and key in document:
            document = document[key]
    if not isinstance(document, list):
        raise InputError(
            f"must hold a list of polygons, or one under `features` or `annotations`; found {_shown(document)}"
        )
    return document


def read_member(member: object) -> tuple[str | None, list[Polygon]]:
    """(class name, None where none is said; polygons) of one entry. Raises InputError: no polygon."""
    if isinstance(member, list):
        return None, [[member]]
    geometry = member.get("geometry", member) if isinstance(member, dict) else None
    if not isinstance(geometry, dict) or not isinstance(geometry.get("coordinates"), list):
        raise InputError(f"has no geometry with coordinates, found {_shown(member)}")
    kind, coordinates = geometry.get("type"), geometry["coordinates"]
    if "geometry" in member and kind not in AREAS:
        raise InputError(f"geometry of type {kind!r} has no area; {' and '.join(AREAS)} have")
    polygons = coordinates if kind == "MultiPolygon" else [coordinates]
    if not all(isinstance(polygon, list) and polygon for polygon in polygons):
        raise InputError(f"coordinates must be a list of rings, found {_shown(coordinates)}")
    name = _class_of(member) if kind in AREAS else kind
    return (None if name is None else str(name)), polygons


def read_ring(ring: object, shape: tuple[int, int]) -> np.ndarray:
    """The vertices (N, 2) int32, x before y, of a ring in an image of shape (H, W).

    Raises InputError: no [x, y] numbers, fewer than 3 points, or one outside the image.
    """
    try:
        points = np.array(ring, float)
    except (TypeError, ValueError):
        points = np.empty(0)
    if points.ndim != 2 or points.shape[1] != 2 or not np.isfinite(points).all():
        raise InputError(f"a ring must be a list of [x, y] numbers, found {_shown(ring)}")
    if len(np.unique(points, axis=0)) < 3:
        raise InputError(f"a ring has {len(np.unique(points, axis=0))} different points, an area needs at least 3")
    outside = ((points < 0) | (points > shape[::-1])).any(axis=1)
    if outside.any():
        number = int(outside.argmax())
        raise InputError(
            f"point {number + 1} ({points[number, 0]:g}, {points[number, 1]:g}) and {outside.sum() - 1} more lie outside "
            f"the image (x 0…{shape[1]}, y 0…{shape[0]}): a wrong image, x and y swapped, or other units"
        )
    return np.rint(points).astype(np.int32)


def _class_of(feature: dict) -> object:
    properties = feature.get("properties")
    classification = properties.get("classification") if isinstance(properties, dict) else None
    return classification.get("name") if isinstance(classification, dict) else classification


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}…"
