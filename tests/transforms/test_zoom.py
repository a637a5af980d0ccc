import pytest
import torch

from vos_lightning.errors import VOSError
from vos_lightning.transforms.zoom import zoom_views


def ramp(batch=8, length=5, size=32):
    """Pixels that say where they are; channel 2 says which frame."""
    rows, columns = torch.arange(size).float(), torch.arange(size).float()
    frames = torch.zeros(batch, length, 3, size, size)
    frames[:, :, 0] = rows[:, None]
    frames[:, :, 1] = columns[None]
    frames[:, :, 2] = torch.arange(length).float()[:, None, None]
    return frames


def test_views_are_parts_of_the_frames_they_name_never_the_current_one():
    views, places = zoom_views(ramp(batch=60), torch.arange(60), (1.5, 2.0), num_frames=2)
    assert views.shape == (60, 4, 3, 32, 32)
    assert set(places.flatten().tolist()) == {0, 1, 2, 3}
    assert (places[:, 0] != places[:, 1]).all()
    for frame in range(2):
        for level in range(2):
            shown = views[:, 2 * frame + level, 2]
            assert torch.equal(shown, places[:, frame].float().view(-1, 1, 1).expand_as(shown))


@pytest.mark.parametrize(("level", "extent"), [(1.0, 32), (1.6, 20), (2.0, 16), (4.0, 8)])
def test_the_magnification_is_the_one_asked_for(level, extent):
    views, _ = zoom_views(ramp(), torch.arange(8), (level,))
    span = views[:, 0, 0, -1, 0] - views[:, 0, 0, 0, 0]
    assert torch.allclose(span, torch.full((8,), extent - 1.0), atol=1e-4)


def test_views_depend_on_the_seed_alone():
    frames, seeds = ramp(6), torch.tensor([4, 8, 15, 16, 23, 42])
    views, places = zoom_views(frames, seeds)
    for clip in range(6):
        alone, place = zoom_views(frames[clip, None], seeds[clip, None])
        assert torch.equal(alone[0], views[clip])
        assert torch.equal(place[0], places[clip])


@pytest.mark.parametrize(
    ("options", "name"),
    [({"num_frames": 5}, "zoom_frames"), ({"levels": (0.5,)}, "zoom_levels"), ({"levels": ()}, "zoom")],
)
def test_nonsense_is_refused_by_name(options, name):
    with pytest.raises(VOSError, match=name):
        zoom_views(ramp(), torch.arange(8), **options)
