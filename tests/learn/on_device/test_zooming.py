import numpy as np
import pytest
import torch

from tessera.data import zooming
from tessera.learn.on_device.zooming import resize, resize_labels


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 9])
@pytest.mark.parametrize(
    ("read", "seen"),
    [(64, 32), (48, 32), (50, 32), (96, 32), (33, 32), (60, 46), (32, 64), (32, 46), (24, 32), (31, 32), (32, 32)],
)
def test_windows_are_resized_as_on_the_cpu(read: int, seen: int, channels: int) -> None:
    random = np.random.default_rng(read)
    image = random.integers(0, 256, (read, read, channels), np.uint8)
    labels = random.choice(np.array([0, 1, 255], np.uint8), (read, read))
    found = resize(torch.from_numpy(image.transpose(2, 0, 1))[None], seen)[0].movedim(0, -1).numpy()
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, zooming.resize(image, (seen, seen)))
    nearest = resize_labels(torch.from_numpy(labels)[None, None], seen)[0, 0]
    np.testing.assert_array_equal(nearest, zooming.resize_labels(labels, (seen, seen)))


@pytest.mark.parametrize("seen", [25, 57])
def test_what_is_kept_of_one_batch_is_not_sent_with_the_next(seen: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor bound to how the first one was made: what is scored is, in inference mode."""
    windows = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (2, 3, 41, 41), np.uint8))
    with torch.inference_mode():
        first = resize(windows, seen), resize_labels(windows, seen)
    monkeypatch.delattr(torch, "from_numpy")
    again = resize(windows, seen), resize_labels(windows, seen)
    assert all(torch.equal(one, other) for one, other in zip(first, again, strict=True))
    (again[0] * torch.ones((), requires_grad=True)).sum().backward()
