"""To the network's size and back again."""

import pytest
import torch

from vos_lightning.errors import MaskError, VOSError
from vos_lightning.inference.tracking.network_frames import NetworkFrames


@pytest.mark.parametrize("size", [(32, 48), (33, 50), (7, 90)])
@pytest.mark.parametrize("max_size", [None, 60, 40])
def test_there_and_back_keeps_the_size_and_shifts_nothing(size, max_size):
    frames = NetworkFrames(16, max_size)
    y, x = torch.meshgrid(*(torch.linspace(-1, 1, length) for length in size), indexing="ij")
    ramps = torch.stack([y, x])[None]
    fitted = frames.fit(ramps)
    assert fitted.shape[-2] % 16 == 0
    assert fitted.shape[-1] % 16 == 0
    restored = frames.restore(fitted, size)
    assert restored.shape == ramps.shape
    inner = (slice(None), slice(None), slice(2, -2), slice(4, -4))
    torch.testing.assert_close(restored[inner], ramps[inner], atol=0.12, rtol=0)


def test_the_longer_side_is_scaled_to_the_limit_and_edges_are_repeated():
    fitted = NetworkFrames(16, max_size=50).fit(torch.rand(1, 3, 70, 100))
    assert fitted.shape == (1, 3, 48, 64)
    assert torch.equal(fitted[..., 50:], fitted[..., 49:50].expand(-1, -1, -1, 14))


def test_small_frames_stay_as_they_are():
    image = torch.rand(1, 3, 32, 48)
    assert torch.equal(NetworkFrames(16, max_size=500).fit(image), image)


def test_other_sizes_are_refused_by_frame():
    frames = NetworkFrames(16)
    frames.check(0, torch.zeros(3, 32, 48), torch.zeros(32, 48))
    with pytest.raises(VOSError, match="frame 3 is 48×30, those before it 48×32"):
        frames.check(3, torch.zeros(3, 30, 48), None)
    with pytest.raises(MaskError, match="mask of frame 4 is 40×32, the frame 48×32"):
        frames.check(4, torch.zeros(3, 32, 48), torch.zeros(32, 40))
