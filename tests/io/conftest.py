"""Real video files, encoded on the spot."""

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

Frame = NDArray[np.uint8]
REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def scene() -> Callable[..., list[Frame]]:
    """Frames that all differ: a block texture that shifts, an object that moves over it."""

    def make(count: int = 30, height: int = 96, width: int = 128) -> list[Frame]:
        blocks = np.random.default_rng(0).integers(0, 255, (height // 8 + 1, width // 8 + 1, 3), dtype=np.uint8)
        background = blocks.repeat(8, 0).repeat(8, 1)[:height, :width]
        frames = []
        for index in range(count):
            frame = np.roll(background, (index, 3 * index), (0, 1))
            left = 5 * index % max(1, width - 20)
            frame[10:30, left : left + 20] = (255, 7 * index % 256, 0)
            frames.append(frame)
        return frames

    return make


@pytest.fixture(scope="session")
def encode() -> Callable[..., Path]:
    """Encode frames with PyAV; `pts` in milliseconds makes the frame rate variable."""

    def write(
        path: Path,
        frames: Sequence[Frame],
        codec: str = "libx264",
        pixels: str = "yuv420p",
        rate: int = 10,
        pts: list[int] | None = None,
        container: str | None = None,
        rotation: float | None = None,
        options: dict[str, str] | None = None,
        muxing: dict[str, str] | None = None,
    ) -> Path:
        with av.open(str(path), "w", format=container, options=muxing or {}) as output:
            stream = output.add_stream(codec, rate=rate, options=options or {})
            if rotation is not None:
                stream.set_display_rotation(rotation)
            stream.pix_fmt = pixels
            stream.height, stream.width = frames[0].shape[:2]
            if pts:
                stream.codec_context.time_base = Fraction(1, 1000)
            for index, frame in enumerate(frames):
                picture = av.VideoFrame.from_ndarray(frame, format="rgb24").reformat(format=pixels)
                if pts:
                    picture.pts, picture.time_base = pts[index], Fraction(1, 1000)
                output.mux(stream.encode(picture))
            output.mux(stream.encode(None))
        return path

    return write


@pytest.fixture(scope="session")
def play() -> Callable[[Path], list[Frame]]:
    """The slow reference: decode everything in order."""

    def decode(path: Path) -> list[Frame]:
        with av.open(str(path)) as container:
            return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]

    return decode


@pytest.fixture(scope="session")
def clips() -> list[Path]:
    """The raw training clips that lie beside the repository."""
    folder = REPOSITORY.parent / "shared" / "data" / "clips"
    found = sorted(folder.glob("*.mp4"))
    if not found:
        pytest.skip(f"no clips in {folder}")
    return found
