import numpy as np
import pytest
import torch

from tessera.predict.views import TURNS, turned
from tessera.tasks import IGNORE, TASKS, build_task


@pytest.mark.parametrize("name", TASKS)
def test_the_task_has_a_channel_a_class(name: str) -> None:
    assert build_task(name, ["vessel", "tumour"]).channels == 2


@pytest.mark.parametrize("leading", [(), (3,), (2, 3)])
def test_targets_get_a_channel_axis_and_ignored_pixels_are_not_valid(leading: tuple[int, ...]) -> None:
    labels = np.random.default_rng(0).choice(np.array([0, 1, IGNORE], np.uint8), (*leading, 5, 7))
    target, valid = build_task("binary", ["vessel"]).encode_target(labels)
    assert target.shape == valid.shape == (*leading, 1, 5, 7)
    assert target.dtype == valid.dtype == bool
    np.testing.assert_array_equal(target[..., 0, :, :], labels == 1)
    np.testing.assert_array_equal(valid[..., 0, :, :], labels != 255)


@pytest.mark.parametrize("leading", [(), (3,), (2, 3)])
def test_classes_that_overlap_stand_last_in_labels_and_first_in_targets(leading: tuple[int, ...]) -> None:
    labels = np.random.default_rng(0).choice(np.array([0, 1, IGNORE], np.uint8), (*leading, 5, 7, 3))
    target, valid = build_task("multilabel", ["a", "b", "c"]).encode_target(labels)
    assert target.shape == valid.shape == (*leading, 3, 5, 7)
    for k in range(3):
        np.testing.assert_array_equal(target[..., k, :, :], labels[..., k] == 1)
        np.testing.assert_array_equal(valid[..., k, :, :], labels[..., k] != IGNORE)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_probabilities_are_float32_in_0_to_1(dtype: torch.dtype) -> None:
    logits = torch.tensor([-200.0, -1.0, 0.0, 200.0], dtype=dtype).view(1, 1, 2, 2)
    found = build_task("binary", ["vessel"]).probabilities(logits.clone())
    assert found.dtype == torch.float32
    np.testing.assert_allclose(found.ravel(), [0, 1 / (1 + np.e), 0.5, 1], atol=1e-6)
    expanded = build_task("binary", ["vessel"]).probabilities(logits[..., :1].expand(1, 1, 2, 2))
    np.testing.assert_array_equal(expanded, found[..., :1].expand(1, 1, 2, 2))


@pytest.mark.parametrize("view", TURNS)
def test_permutation_keeps_every_channel_once(view: str) -> None:
    task = build_task("binary", ["vessel"])
    assert sorted(task.permutation(view)) == list(range(task.channels))


@pytest.mark.parametrize("one", TURNS)
@pytest.mark.parametrize("two", TURNS)
def test_turns_one_after_the_other_swap_as_the_turn_that_they_make(one: str, two: str) -> None:
    task, pixels = build_task("multilabel", ["l", "r"], [["r", "l"]]), torch.arange(12).view(3, 4)
    (made,) = (turn for turn in TURNS if torch.equal(turned(pixels, turn), turned(turned(pixels, one), two)))
    assert [task.permutation(one)[k] for k in task.permutation(two)] == task.permutation(made)
