"""What may be read: pictures of a limited size, as a file of a few bytes can claim more pixels than fit into memory."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from vos_lightning.errors import CorruptFileError, VOSError, read_error
from vos_lightning.io.files import is_special

VARIABLE = "VOS_LIGHTNING_MAX_PIXELS"
"""Environment variable with another limit than Pillow's."""

UNDECODABLE = (
    UnidentifiedImageError,
    OSError,
    SyntaxError,
    ValueError,
    Image.DecompressionBombError,
    Image.DecompressionBombWarning,
)
"""What Pillow raises for files that it can't decode."""


def pixel_limit() -> int | None:
    """Pixels that one image, mask or video frame may have.

    That is Pillow's own `PIL.Image.MAX_IMAGE_PIXELS`, 89 million unless a program changes it, where `None` is no limit;
    the environment variable `VOS_LIGHTNING_MAX_PIXELS` goes first.

    Raises:
        VOSError: The variable holds something else than a number of pixels.
    """
    text = os.environ.get(VARIABLE)
    if not text:
        return Image.MAX_IMAGE_PIXELS
    if not text.isascii() or not text.isdecimal() or len(text) > 18 or not int(text):
        raise VOSError(f"{VARIABLE}={text!r}: give a number of pixels, such as 200000000")
    Image.MAX_IMAGE_PIXELS = int(text)  # Pillow looks there, and raises where there are twice as many
    return int(text)


def check_pixels(path: str | Path, height: int, width: int) -> None:
    """Raise before memory is taken for a picture that is too large.

    Raises:
        VOSError: It is larger than `pixel_limit`.
    """
    limit = pixel_limit()
    if limit is not None and height * width > limit:
        raise VOSError(
            f"{path}: {width}x{height} pixels, more than the limit of {limit}; if you trust this file, set "
            f"{VARIABLE}={height * width}"
        )


def check_regular(path: str | Path) -> None:
    """Raise before a pipe is waited for, or a device read for ever.

    Raises:
        VOSError: It is one.
    """
    if is_special(Path(path)):
        raise VOSError(f"{path}: a pipe or a device can't be read as a file; give a file, or remove this one")


@contextmanager
def opened_image(path: str | Path, kind: str = "frame") -> Iterator[Image.Image]:
    """Open an image of allowed size; its pixels are decoded when they are asked for.

    Args:
        path: The file.
        kind: What it should be, for the message.

    Raises:
        VOSError: It is too large, or may not be read.
        CorruptFileError: The file is missing or can't be decoded, also if that turns out inside of the block.
    """
    pixel_limit()
    check_regular(path)
    try:
        with Image.open(path) as image:
            check_pixels(path, image.height, image.width)
            yield image
    except VOSError:
        raise
    except Image.DecompressionBombError as error:
        reason = str(error).rstrip(".")
        raise VOSError(f"{path}: {reason}; if you trust this file, set {VARIABLE} to its number of pixels") from error
    except UNDECODABLE as error:
        corrupt = CorruptFileError(f"{path}: this {kind} cannot be decoded ({error}); replace or remove it")
        raise read_error(path, error, corrupt) from error
