import numpy as np

from tessera.decide.decision import EVERYWHERE, Decision
from tessera.decide.steps.min_area import min_area

SPACING = (1.0, 1.0)


def _decision(weights: dict[str, float], levels: dict[str, list], **steps: object) -> Decision:
    return Decision(weights, ["identity"], "probabilities", "threshold", "stratum", levels, steps)


def test_a_decision_blends_cuts_and_cleans() -> None:
    maps = np.random.default_rng(0).integers(0, 256, (2, 1, 30, 30)).astype(np.float32)
    decision = _decision({"a": 0.5, "unused": 0.0, "b": 0.5}, {EVERYWHERE: [150], "kidney": [200]}, min_area=4)
    assert decision.models == ["a", "b"]
    for stratum, threshold in (("kidney", 200), ("liver", 150), ("", 150)):
        expected = min_area(np.rint(maps.mean(0)) >= threshold, 4, SPACING)
        np.testing.assert_array_equal(decision.mask(maps, stratum, SPACING), expected)
