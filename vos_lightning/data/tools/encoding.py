"""Videos as they are prepared for training: small, with key frames close together."""

import errno
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
from av.error import FFmpegError

from vos_lightning.errors import VOSError, read_error
from vos_lightning.io.frame_source import FrameSource, scaled_size

_OUTPUT_FAILS = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS, errno.EACCES, errno.ENOENT))


@dataclass(frozen=True)
class Encoding:
    """How prepared videos are encoded.

    Args:
        short_side: in pixels; smaller videos keep their size.
        gop: frames from one key frame to the next; a clip decodes half as many for nothing.
        crf: quality of H.264, 0 to 51, lower is better and larger.
    """

    short_side: int = 256
    gop: int = 8
    crf: int = 20

    def __post_init__(self) -> None:
        """Validate the options."""
        if self.short_side < 16 or self.gop < 1 or not 0 <= self.crf <= 51:
            raise VOSError(f"{self}: need short_side >= 16, gop >= 1 and crf from 0 to 51")


def encode_video(source: FrameSource, target: Path, encoding: Encoding, origin: str = "") -> None:
    """Write a video as mp4.

    Args:
        source: the video.
        target: file to write.
        encoding: how.
        origin: `stamp` of the source, kept as the file's comment.

    Raises:
        OSError: the file can't be written.
        VOSError: it can't be decoded or encoded, a frame is damaged, or its frames differ in size.
    """
    options = {
        "crf": str(encoding.crf),
        "g": str(encoding.gop),
        "bf": "0",
        "preset": "veryfast",
        # no deblocking and no arithmetic coding: half as long to decode, a tenth larger
        "tune": "fastdecode",
    }
    size: tuple[int, ...] | None = None
    try:
        with av.open(str(target), "w", format="mp4") as container:
            container.metadata["comment"] = origin
            rate = Fraction(source.fps).limit_denominator(1001)
            stream = container.add_stream("libx264", rate=rate, options=options)
            stream.codec_context.thread_count = 1
            for frame in source.intact():
                if size is None:
                    size = frame.shape
                    stream.height, stream.width = _even_size(frame.shape[0], frame.shape[1], encoding.short_side)
                    stream.pix_fmt = "yuv420p"
                if frame.shape != size:
                    raise VOSError(f"{source.path}: frames of {size[:2]} and of {frame.shape[:2]}; keep one size")
                picture = av.VideoFrame.from_ndarray(frame, format="rgb24")
                picture = picture.reformat(stream.width, stream.height, "yuv420p", interpolation="BILINEAR")
                container.mux(stream.encode(picture))
            container.mux(stream.encode(None))
    except FFmpegError as error:
        if error.errno in _OUTPUT_FAILS:
            raise OSError(error.errno, error.strerror) from error
        fault = VOSError(f"{source.path}: can't be encoded ({error.strerror})")
        raise read_error(source.path, error, fault) from error


def _even_size(height: int, width: int, short_side: int) -> tuple[int, int]:
    """Size after shrinking the short side to at most `short_side`; H.264 wants even sides."""
    height, width = scaled_size(height, width, min(height, width, short_side))
    return max(2, height // 2 * 2), max(2, width // 2 * 2)
