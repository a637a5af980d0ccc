"""The studio's server over a long video: how soon it answers, how fast it scrubs, and its memory while it tracks.

    python benchmarks/studio.py [--frames 10000] [--max-size 160] [--weights lab]

A generated video of 852×480 is opened, scrubbed and tracked while a page listens. Times are processor time of the
server, memory is what it holds resident.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.request import Request, urlopen

import numpy as np
from _measure import print_table
from memory import BOX, HEIGHT, WIDTH, position, write_video

SCALE = 2
SCRUBBED = 240
JUMPS = 40


class Server:
    """A studio in a process of its own."""

    def __init__(self, *arguments: str) -> None:
        command = [sys.executable, "-m", "vos_lightning", "studio", *arguments, "--no-browser", "--port", "0"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        found = re.search(r"http://\S+", self.process.stdout.readline())
        assert found is not None
        self._address = found.group()

    def ask(self, path: str, method: str = "GET", body: bytes | None = None) -> bytes:
        """The answer to a request."""
        with urlopen(Request(self._address + path, body, method=method)) as answer:
            return bytes(answer.read())

    def tracked(self) -> Iterator[int]:
        """Track all frames; how many of them there are, after each."""
        with urlopen(f"{self._address}events") as events:
            self.ask("tracking", "POST", b'{"do": "start", "mode": "all"}')
            count = 0
            while b'"phase": "idle"' not in (line := events.readline()):
                if b'"type": "tracked"' in line:
                    count += 1
                    yield count

    @property
    def seconds(self) -> float:
        """Processor time so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    @property
    def resident(self) -> float:
        """Memory in MiB."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20

    def rate(self, frames: Iterable[int]) -> float:
        """Pictures per second."""
        before, count = self.seconds, 0
        for frame in frames:
            self.ask(f"frames/{frame}")
            count += 1
        return count / (self.seconds - before)


def point(server: Server) -> None:
    """Make an object of the box in the first frame."""
    mask = np.zeros((HEIGHT * SCALE, WIDTH * SCALE), np.uint8)
    y, x = (SCALE * one for one in position(0))
    mask[y : y + SCALE * BOX, x : x + SCALE * BOX] = 1
    one = {"id": 1, "name": "box", "colour": "#ff0000"}
    server.ask("objects", "PUT", json.dumps({"objects": [one]}).encode())
    server.ask("given/0", "PUT", gzip.compress(mask.tobytes()))


def measure(server: Server, frames: int) -> None:
    """Prints what was measured, as it becomes known."""
    server.ask("state")
    server.ask("frames/0")
    print(f"state and first frame: {server.seconds:.2f} s of processor time; {server.resident:.0f} MiB")
    jumps = np.random.default_rng(0).integers(0, frames, JUMPS).tolist()
    forward = server.rate(range(1, min(SCRUBBED, frames)))
    backward = server.rate(range(frames - 1, max(frames - SCRUBBED, 0), -1))
    print(f"pictures per second: {forward:.0f} forward, {backward:.0f} backward, {server.rate(jumps):.0f} anywhere")
    print(f"after that: {server.resident:.0f} MiB", flush=True)
    point(server)
    shown = sorted({frames // 100, frames // 10, frames // 4, frames // 2, 3 * frames // 4, frames - 1})
    before, rows, held = server.seconds, [], []
    for count in server.tracked():
        held.append(server.resident)
        if count in shown:
            rows.append([count, f"{held[-1]:.0f}", f"{(server.seconds - before) / count:.3f}"])
            print(rows[-1], file=sys.stderr, flush=True)
    print_table("while tracking", ["frames", "MiB", "s of processor time per frame"], rows)
    settled = held[len(held) // 10 :]
    slope = np.polynomial.Polynomial.fit(range(len(settled)), settled, 1).convert().coef[1]
    print(f"\nslope after the first tenth: {1024 * slope:.2f} KiB per frame; at most {max(held):.0f} MiB")
    before = server.seconds
    server.ask("state")
    print(f"state with all tracked: {server.seconds - before:.2f} s of processor time")


def main() -> None:
    """Prints times and memory."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=10_000)
    parser.add_argument("--max-size", type=int, default=160)
    parser.add_argument("--weights", default="lab")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        video = Path(folder) / "video.mp4"
        write_video(video, options.frames, SCALE)
        settings = ("--weights", options.weights, "--max-size", str(options.max_size))
        server = Server(str(video), "--project", f"{folder}/project", *settings)
        try:
            measure(server, options.frames)
        finally:
            server.process.kill()
            server.process.wait()


if __name__ == "__main__":
    main()
