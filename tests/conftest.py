"""Data that several parts' tests share; all of it is generated, except `shared_data`."""

import os
import resource
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from vos_lightning.data import write_davis_tree
from vos_lightning.data.synthetic.datasets import SyntheticSpec

REPOSITORY = Path(__file__).parent.parent


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real videos beside the checkout, for those who have them."""
    path = REPOSITORY.parent / "shared" / "data"
    if not path.is_dir():
        pytest.skip(f"needs the real videos at {path}")
    return path


@pytest.fixture(scope="session")
def davis_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two short generated videos in DAVIS layout, ids 1…K."""
    root = tmp_path_factory.mktemp("davis")
    write_davis_tree(root, train=(), val=(7, 8), spec=SyntheticSpec(6, (64, 96), 2))
    return root


@pytest.fixture
def moving_square() -> tuple[np.ndarray, np.ndarray]:
    """A textured square moves 2 pixels per frame: frames (6, 60, 90, 3), masks (6, 60, 90) with the id 9."""
    rng = np.random.default_rng(0)
    background = rng.integers(0, 120, (15, 23, 3)).repeat(4, 0).repeat(4, 1)[:60, :90]
    square = rng.integers(130, 255, (6, 6, 3)).repeat(4, 0).repeat(4, 1)
    frames = np.repeat(background[None], 6, 0).astype(np.uint8)
    masks = np.zeros((6, 60, 90), np.uint8)
    for t in range(6):
        frames[t, 16:40, 20 + 2 * t : 44 + 2 * t] = square
        masks[t, 16:40, 20 + 2 * t : 44 + 2 * t] = 9
    return frames, masks


@pytest.fixture
def no_files_left() -> Callable[[], AbstractContextManager[None]]:
    """A context in which this process can't open one more file."""

    @contextmanager
    def exhausted() -> Iterator[None]:
        limits, taken = resource.getrlimit(resource.RLIMIT_NOFILE), []
        highest = os.open(os.devnull, os.O_RDONLY)
        taken.append(highest)
        resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 8, limits[1]))
        try:
            with suppress(OSError):
                while True:
                    taken.append(os.open(os.devnull, os.O_RDONLY))
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
            for number in taken:
                os.close(number)

    return exhausted


@pytest.fixture
def pipe() -> Iterator[Callable[[Path], Path]]:
    """Make a named pipe; whoever waits for it gets an empty one after some seconds."""
    timers = []

    def make(path: Path) -> Path:
        os.mkfifo(path)
        timers.append(threading.Timer(5, lambda: os.close(os.open(path, os.O_RDWR | os.O_NONBLOCK))))
        timers[-1].start()
        return path

    yield make
    for timer in timers:
        timer.cancel()


@pytest.fixture
def little_memory() -> Iterator[None]:
    """No more than half a gigabyte beyond what is taken now."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken + 2**29, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


@pytest.fixture
def camera(tmp_path: Path) -> Iterator[Callable[[Sequence[np.ndarray], Callable[[int], None]], Path]]:
    """A pipe into which a thread writes frames, each when `wait`, called with its number, returns."""
    path = tmp_path / "camera"
    os.mkfifo(path)
    threads = []

    def start(frames: Sequence[np.ndarray], wait: Callable[[int], None]) -> Path:
        thread = threading.Thread(target=_stream, args=(path, frames, wait))
        threads.append(thread)
        thread.start()
        return path

    yield start
    for thread in threads:
        thread.join()


def _stream(path: Path, frames: Sequence[np.ndarray], wait: Callable[[int], None]) -> None:
    with (
        path.open("wb", buffering=0) as pipe,
        av.open(pipe, "w", format="nut", options={"flush_packets": "1"}) as output,
    ):
        encoder = output.add_stream("mjpeg", rate=10, options={"qmin": "1", "qmax": "1"})
        encoder.pix_fmt = "yuvj444p"
        encoder.height, encoder.width = frames[0].shape[:2]
        encoder.codec_context.time_base = Fraction(1, 10)
        for number, frame in enumerate(frames):
            wait(number)
            picture = av.VideoFrame.from_ndarray(frame, format="rgb24")
            picture.pts = number
            try:
                output.mux(encoder.encode(picture))
            except OSError:  # nobody reads any more
                return
