"""bfloat16 where it pays."""

import pytest
import torch

from tests.inference.tracking.test_propagation import box, texture
from vos_lightning import MAST, VideoSegmenter
from vos_lightning.errors import VOSError
from vos_lightning.inference.precision import usable_precision

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("able", "expected"),
    [
        ({"avx512_bf16": True}, "bfloat16"),
        ({"amx_bf16": True}, "bfloat16"),
        ({"avx512_f": True}, "float32"),
        ({}, "float32"),
    ],
)
def test_auto_asks_the_hardware(able, expected, monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: able)
    assert usable_precision("auto", CPU) == getattr(torch, expected)
    assert usable_precision("float32", CPU) == torch.float32
    assert usable_precision("bfloat16", CPU) == torch.bfloat16


def test_another_precision_is_refused():
    with pytest.raises(VOSError, match="precision is 'float16'; expected 'auto', 'float32' or 'bfloat16'"):
        VideoSegmenter(device="cpu", precision="float16")


def moved_scene(count):
    scene, mask = texture(96, 160), box(96, 128, id3=(24, 56, 40, 88))
    return torch.stack([scene[:, :, 2 * t : 2 * t + 128] for t in range(count)]), mask


@pytest.mark.parametrize("weights", ["default", "lab"])
def test_masks_in_both_precisions_agree(weights):
    frames, mask = moved_scene(6)
    last = []
    for name in ("float32", "bfloat16"):
        segmenter = VideoSegmenter(weights, "cpu", precision=name)
        assert segmenter.precision == getattr(torch, name)
        last.append(list(segmenter.segment(frames, mask))[-1] == 3)
    assert (last[0] & last[1]).sum() / (last[0] | last[1]).sum() > 0.99


def test_keys_are_kept_in_half_the_memory():
    frames, mask = moved_scene(2)
    segmenter = VideoSegmenter("default", "cpu", precision="bfloat16")
    propagator = segmenter._tracker.propagator()
    propagator.step(frames[0], mask)
    propagator.step(frames[1])
    keys, values = propagator._memory.read([0, 1])
    assert keys.dtype == torch.bfloat16
    assert values.dtype == torch.float32


@pytest.mark.parametrize("half", [False, True])
def test_tasks_track_as_the_trainer_computes(half, monkeypatch):
    model = MAST(width=0.125, feature_dim=16, radius=2).eval()
    seen = []
    monkeypatch.setattr(type(model.tracker()), "prepared", lambda self, device, dtype: seen.append(dtype) or self)
    frames, mask = moved_scene(2)
    with torch.autocast("cpu", torch.bfloat16, enabled=half):
        masks = list(model.track({"sequence": "a", "frames": frames, "prompts": {0: mask}}))
    assert len(masks) == 2
    assert seen == [torch.bfloat16 if half else torch.float32]
