import pytest

from vos_lightning.io.palette import DAVIS_PALETTE, complete_palette


def _colour(index):
    return tuple(DAVIS_PALETTE[3 * index : 3 * index + 3])


def test_known_colours():
    assert len(DAVIS_PALETTE) == 768
    known = {0: (0, 0, 0), 1: (128, 0, 0), 2: (0, 128, 0), 3: (128, 128, 0), 4: (0, 0, 128), 8: (64, 0, 0)}
    assert {index: _colour(index) for index in known} == known
    assert _colour(255) == (224, 224, 192)


def test_all_colours_differ():
    assert len({_colour(index) for index in range(256)}) == 256


def test_completing():
    assert complete_palette(None) == complete_palette(b"") == complete_palette(DAVIS_PALETTE) == DAVIS_PALETTE
    short = complete_palette(bytes([9, 8, 7]))
    assert short[:3] == bytes([9, 8, 7])
    assert short[3:] == DAVIS_PALETTE[3:]
    with pytest.raises(ValueError, match="not 769"):
        complete_palette(bytes(769))
