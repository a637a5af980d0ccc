"""A small clip, a studio that runs beside the tests, and a browser that looks at it."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from shutil import which

import numpy as np
import pytest
from PIL import Image

FRAMES, HEIGHT, WIDTH = 12, 72, 108
# seconds: a slow machine is no fault
PATIENCE = 1800
CHROMIUM_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def square_at(frame: int) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of the square in a frame of the clip."""
    return 20 + 3 * frame, 24, 48 + 3 * frame, 52


def truth(frame: int) -> np.ndarray:
    """The mask of the square, 1 inside."""
    left, top, right, bottom = square_at(frame)
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[top:bottom, left:right] = 1
    return mask


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of frames: a reddish square moves over a bluish ground."""
    folder = tmp_path_factory.mktemp("videos") / "square"
    folder.mkdir()
    rng = np.random.default_rng(0)
    ground = rng.integers(0, 70, (HEIGHT // 4, WIDTH // 4, 3)).repeat(4, 0).repeat(4, 1) + np.array([0, 20, 90])
    patch = rng.integers(0, 60, (7, 7, 3)).repeat(4, 0).repeat(4, 1) + np.array([180, 40, 20])
    for frame in range(FRAMES):
        picture = ground.astype(np.uint8)
        left, top, right, bottom = square_at(frame)
        picture[top:bottom, left:right] = patch
        Image.fromarray(picture).save(folder / f"{frame:05d}.png")
    return folder


@dataclass
class Server:
    """A studio in a process of its own."""

    process: subprocess.Popen
    address: str
    project: Path

    def kill(self) -> None:
        """As a power cut would end it."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


@pytest.fixture
def serve(clip: Path, tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Starts studios on the clip; they end with the test."""
    running = []

    def start(*options: str) -> Server:
        project = tmp_path / "project"
        command = [sys.executable, "-m", "vos_lightning", "studio", str(clip), "--project", str(project)]
        process = subprocess.Popen(
            [*command, "--no-browser", "--port", "0", "--weights", "lab", *options],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        running.append(process)
        address = re.search(r"http://\S+", process.stdout.readline()).group()
        return Server(process, address, project)

    yield start
    for process in running:
        process.kill()
        process.wait()


@pytest.fixture(scope="session")
def chromium() -> Iterator[object]:
    """Debian's Chromium, driven by Playwright."""
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    path = which("chromium") or which("chromium-browser") or which("google-chrome")
    if path is None:
        pytest.skip("needs Chromium: apt-get install chromium")
    with playwright.sync_playwright() as runner:
        browser = runner.chromium.launch(executable_path=path, args=CHROMIUM_FLAGS, timeout=1000 * PATIENCE)
        yield browser
        browser.close()


class Tab:
    """One open page of the studio, with a hand and eyes."""

    def __init__(self, page, address: str) -> None:
        self.page = page
        self.foreign: list[str] = []
        self.errors: list[str] = []
        page.on("request", lambda request: self._note(request.url, address))
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.goto(address)
        self.until("document.body.dataset.ready === 'yes'")

    def _note(self, url: str, address: str) -> None:
        if not url.startswith((address, "blob:")):
            self.foreign.append(url)

    def evaluate(self, expression: str):
        """The value of an expression in the page."""
        return self.page.evaluate(f"() => ({expression})")

    def until(self, expression: str) -> None:
        """Wait until an expression holds; polling, since the page's policy forbids `eval`."""
        end = time.monotonic() + PATIENCE
        while not self.evaluate(expression):
            assert time.monotonic() < end, f"never: {expression}; {self.evaluate('document.body.innerText')}"
            self.page.wait_for_timeout(20)

    def point(self, x: float, y: float) -> tuple[float, float]:
        """Where a point of the frame is on the screen."""
        found = self.page.evaluate(
            """([x, y]) => {
                const room = document.getElementById('canvas').getBoundingClientRect();
                const { scale, x: left, y: top } = studio.view;
                return [room.left + left + x * scale, room.top + top + y * scale];
            }""",
            [x, y],
        )
        return found[0], found[1]

    def drag(self, *points: tuple[float, float]) -> None:
        """Press at the first point of the frame, move through the others, let go."""
        mouse = self.page.mouse
        mouse.move(*self.point(*points[0]))
        mouse.down()
        for point in points[1:]:
            mouse.move(*self.point(*point), steps=3)
        mouse.up()

    def tool(self, name: str) -> None:
        """Choose a tool."""
        self.page.click(f"[data-tool={name}]")

    def saved(self) -> None:
        """Wait until everything is on the disk."""
        self.until("studio.state.saved !== 'saving…'")

    def ids(self) -> np.ndarray:
        """The mask that is shown, (H, W)."""
        return np.array(self.evaluate("[...studio.mask.ids]"), np.uint8).reshape(HEIGHT, WIDTH)


@pytest.fixture
def look(chromium) -> Iterator[Callable[..., Tab]]:
    """Opens pages."""
    contexts = []

    def open_page(address: str, width: int = 1280, height: int = 800) -> Tab:
        context = chromium.new_context(viewport={"width": width, "height": height}, accept_downloads=True)
        context.set_default_timeout(1000 * PATIENCE)
        contexts.append(context)
        return Tab(context.new_page(), address)

    yield open_page
    for context in contexts:
        context.close()


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    """Intersection over union."""
    return float((one & other).sum() / max(1, (one | other).sum()))
