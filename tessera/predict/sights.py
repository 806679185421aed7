"""How often, and how, an image is looked at: each size, at each scale of the views."""

from typing import TYPE_CHECKING, NamedTuple

from tessera.predict.views import View

if TYPE_CHECKING:
    from tessera.params.predict import Predict

MERGED = "merged"


class Sight(NamedTuple):
    """One way of looking at an image, under some views."""

    zoom: float  # working px of a px of the window
    window: int  # px
    views: dict[str, View]  # by name
    maps: dict[str, str]  # by view, the map that its windows are added to
    shares: dict[str, float]  # by map, what it counts in the whole

    @property
    def added(self) -> dict[str, list[View]]:
        """By map, the views that are added to it."""
        return {name: [view for own, view in self.views.items() if self.maps[own] == name] for name in self.shares}

    @property
    def context(self) -> int:
        """Working px beside what is predicted that are read: then its edge lies where a window's weight is greatest."""
        return round(self.window * self.zoom) // 2


def sights_of(predict: "Predict", zoom: float, longer_side: int) -> list[Sight]:
    """Every size of `predict` at every scale of its views; shares of a map add up to 1.

    zoom: of the model. longer_side: of the image, working px. Views that are merged as probabilities share a map.
    """
    views = {name: View.of(name) for name in predict.views}
    together = predict.store == MERGED and predict.merge == "probabilities"
    sizes = [(size.side, size.window or predict.window, size.weight) for size in predict.sizes]
    sizes = sizes or [(None, predict.window, 1.0)]
    whole = sum(weight for *_, weight in sizes)
    sights = []
    for side, window, weight in sizes:
        for factor in dict.fromkeys(view.factor for view in views.values()):
            own = {name: view for name, view in views.items() if view.factor == factor}
            maps = {name: MERGED if together else name for name in own}
            part = len(own) / len(views) if together else 1
            shares = dict.fromkeys(maps.values(), weight / whole * part)
            sights.append(Sight((longer_side / side if side else zoom) / factor, window, own, maps, shares))
    return sights
