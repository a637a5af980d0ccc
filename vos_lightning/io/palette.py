"""Colour palettes of indexed PNGs: index = object id."""

from __future__ import annotations

from colorsys import hsv_to_rgb


def _shuffled_bits(index: int) -> tuple[int, int, int]:
    """Colour of one id: its bits, three at a time, become the high bits of red, green and blue."""
    colour = [0, 0, 0]
    for significance in range(7, -1, -1):
        for channel in range(3):
            colour[channel] |= (index >> channel & 1) << significance
        index >>= 3
    return colour[0], colour[1], colour[2]


DAVIS_PALETTE: bytes = b"".join(bytes(_shuffled_bits(index)) for index in range(256))
"""The 256 colours, 768 bytes, of PASCAL VOC and DAVIS: 0 black, 1 dark red, 2 dark green, ..., 255 (void) cream."""

# Hues a golden section apart: neighbouring ids never look alike, however many there are.
_HUES = [(0.3 + 0.618034 * index) % 1 for index in range(256)]
VIVID_PALETTE: bytes = b"".join(bytes(round(255 * c) for c in hsv_to_rgb(hue, 1, 1)) for hue in _HUES)
"""256 colours that show on pictures, 768 bytes: 1 magenta, 2 cyan, 3 yellow, ...; never for the masks themselves."""


def complete_palette(palette: bytes | None) -> bytes:
    """Fill a palette up to 256 colours with those of `DAVIS_PALETTE`.

    A short palette makes an encoder store fewer bits per pixel, which would damage ids beyond its end.

    Args:
        palette: Up to 768 bytes, three per id; `None` or empty for the default one.

    Raises:
        ValueError: The length isn't a multiple of 3 or exceeds 768.
    """
    palette = palette or b""
    if len(palette) % 3 or len(palette) > len(DAVIS_PALETTE):
        raise ValueError(f"a palette has three bytes per id and at most 768 in all, not {len(palette)}")
    return palette + DAVIS_PALETTE[len(palette) :]
