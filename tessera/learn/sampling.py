"""Which patches an epoch draws, and in which order."""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from tessera.data.manifest import WEIGHT
from tessera.errors import InputError

if TYPE_CHECKING:
    from tessera.params.model import Model

KINDS = ["group", "stratum", "domain"]  # columns of the manifest


def with_kinds(patches: pd.DataFrame, manifest: pd.DataFrame, model: "Model") -> pd.DataFrame:
    """The patches with the group, stratum and domain of their images, and where images weigh differently their weight.

    Raises InputError when the model weighs a domain that no image of the manifest has.
    """
    check_domains(model, manifest)
    columns = ["image_id", *KINDS]
    if WEIGHT not in patches and WEIGHT in manifest and (manifest[WEIGHT] != 1).any():
        columns.append(WEIGHT)
    return patches.merge(manifest[columns], on="image_id", how="left", validate="many_to_one")


def check_domains(model: "Model", manifest: pd.DataFrame) -> None:
    """Raises InputError when the model weighs a domain that no image of the manifest has."""
    domains = sorted(set(manifest.domain))
    for name in model.domain_weights:
        if name not in domains:
            raise InputError(f"domain_weights names {name!r}; training images are of {', '.join(domains)}")


def draw_epoch(patches: pd.DataFrame, model: "Model", epoch: int) -> np.ndarray:
    """The items of an epoch for `Windows`, in random order; decided by (seed, epoch) alone.

    Positives and empties get their share of `model.patches`; in either half, or in all without a share, what `balance`
    names comes equally often, and a domain's patches `domain_weights` times as often; where there is a column `weight`,
    each so many times as often. A patch comes a second time only once all of its kind (half, domain, weight and what is
    balanced) have come.
    """
    random = np.random.default_rng([model.seed, epoch])
    count = model.patches or len(patches)
    positive = (patches.positive_fraction > 0).to_numpy()
    share = positive_share(model, epoch)
    if share is None and model.balance == "class":
        share = positive.mean()  # what has no class is balanced against none
    if share is None or positive.all() or not positive.any():
        halves = [(np.arange(len(patches)), count)]
    else:
        wanted = round(count * share)
        halves = [(np.flatnonzero(positive), wanted), (np.flatnonzero(~positive), count - wanted)]
    keys = _keys(patches, model)
    drawn = [part for half, wanted in halves for part in _draw_half(half, wanted, patches, keys, model, random)]
    order = drawn[0] if len(drawn) == 1 else random.permutation(np.concatenate(drawn))
    return _number_draws(order, len(patches))


def positive_share(model: "Model", epoch: int) -> float | None:
    """Of the patches drawn in an epoch; a pair goes straight from the first epoch's to the last one's."""
    if not isinstance(model.positive_share, tuple):
        return model.positive_share
    first, last = model.positive_share
    return first + (last - first) * epoch / max(model.epochs - 1, 1)


def _keys(patches: pd.DataFrame, model: "Model") -> np.ndarray:
    """What is balanced, of each patch: its group or stratum; or its rarest class, "" where it has none."""
    if model.balance != "class":
        return patches[model.balance].to_numpy() if model.balance else np.full(len(patches), "")
    has = patches.filter(regex="^positive_(?!fraction$)") > 0
    rarest_first = has.sum().sort_values(kind="stable").index
    first = has[rarest_first].to_numpy().argmax(1)
    return np.where(has.any(axis=1), np.array(rarest_first)[first], "")


def _draw_half(
    half: np.ndarray, count: int, patches: pd.DataFrame, keys: np.ndarray, model: "Model", random: np.random.Generator
) -> list[np.ndarray]:
    """Patch numbers drawn from those of a half, an array a kind."""
    domain = patches.domain.to_numpy()[half] if model.domain_weights else ""
    weight = patches.weight.to_numpy()[half] if "weight" in patches else 1.0
    table = pd.DataFrame({"key": keys[half], "domain": domain, "weight": weight})
    kinds = list(table.groupby(["key", "domain", "weight"]).indices.items())
    if len(kinds) == 1:
        return [_draw(half, count, random)]
    sizes = table.key.value_counts()
    weights = [
        len(rows) / (sizes[key] if model.balance else 1) * model.domain_weights.get(domain, 1) * weight
        for (key, domain, weight), rows in kinds
    ]
    counts = _apportion(count, np.array(weights), random)
    return [_draw(half[rows], wanted, random) for (_, rows), wanted in zip(kinds, counts, strict=True)]


def _apportion(count: int, weights: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """`count` as whole numbers in proportion to the weights, each rounded up or down at random without bias: where
    kinds are more than patches drawn, each has its turn in some epoch."""
    order = random.permutation(len(weights))
    ends = np.floor(np.cumsum(weights[order]) / weights.sum() * count + random.random()).astype(int)
    ends[-1] = count
    counts = np.empty(len(weights), int)
    counts[order] = np.diff(ends, prepend=0)
    return counts


def _number_draws(patches: np.ndarray, length: int) -> np.ndarray:
    """Patch numbers → items: the n-th repetition of a patch is `patch + n·length`."""
    return patches + length * pd.Series(patches).groupby(patches).cumcount().to_numpy()


def _draw(indices: np.ndarray, count: int, random: np.random.Generator) -> np.ndarray:
    rounds = [random.permutation(indices) for _ in range(-(-count // len(indices)))]
    return np.concatenate([np.empty(0, int), *rounds])[:count]
