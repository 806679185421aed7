"""`predict:` windows, sizes, views, and how they become one map."""

from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from tessera.params.section import Section, later, unique

TURNS = ("identity", "flip_h", "flip_v", "rot180", "rot90", "rot270", "transpose", "anti_transpose")
ALTERNATING = "alternating"  # a different flip of TURNS for each of the windows that overlap
MERGED = "merged"  # the only data set of an item whose views are merged when they are stored
FACTORS = (0.25, 4.0)  # of scaled views

Window = Annotated[int, Field(ge=32, multiple_of=32)]  # px


def _view(name: object) -> object:
    turn, at, factor = str(name).partition("@")
    if turn in TURNS and at and _is_factor(factor):
        return f"{turn}@{float(factor):g}"
    if turn not in (*TURNS, ALTERNATING) or at:
        raise ValueError(
            f"must be one of {', '.join(TURNS)}, {ALTERNATING}; or one of the first eight at another scale, "
            f"{FACTORS[0]}…{FACTORS[1]} but not 1, as in identity@0.8"
        )
    return name


def _is_factor(text: str) -> bool:
    try:
        return FACTORS[0] <= float(text) <= FACTORS[1] and float(text) != 1
    except ValueError:
        return False


class Size(Section):
    """A size at which the whole image is predicted, beside others."""

    side: int | None = Field(ge=32, default=None)  # px of the longer side of the image; null is the working scale
    window: Window | None = None  # px of this size; null is predict.window
    weight: float = Field(gt=0)  # its share of the probabilities is weight / the sum of all weights


class Predict(Section):
    window: Window  # working px
    overlap: float = Field(ge=0, le=0.75)  # share of the window
    weights: Literal["gaussian", "pyramid", "centre"] = later("gaussian")  # of a window's rows and columns
    sizes: list[Size] = later([])  # empty: the working scale alone
    views: Annotated[list[Annotated[str, BeforeValidator(_view)]], Field(min_length=1), AfterValidator(unique)]
    merge: Literal["probabilities", "logits"] = later("probabilities")  # the mean of networks, and of views
    store: Literal["views", "merged"] = later("views")  # each view, or their mean alone

    @property
    def stored_views(self) -> list[str]:
        """The data sets of an item."""
        return [MERGED] if self.store == "merged" else self.views

    @property
    def windows(self) -> dict[str, int]:
        """Px of all windows, by the key that says so."""
        own = {f"predict.sizes.{n}.window": size.window for n, size in enumerate(self.sizes) if size.window}
        return {"predict.window": self.window} | own
