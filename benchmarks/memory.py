"""Streaming: peak memory and time per frame of `segment` for a short and a long video.

    python benchmarks/memory.py [--quick] [--lengths 100 1000] [--threads 1]

A generated video is decoded, tracked and written to PNGs, each length in a process of its own. Neither the peak nor the
time per frame may depend on the length. A machine that is shared or throttled slows down by itself: after every frame
the same matrix product is timed, and times are also given in units of it.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _measure import machine, peak_resident, print_table

from vos_lightning.inference.segmenter import VideoSegmenter
from vos_lightning.io.frames import open_frames
from vos_lightning.io.writers import MaskWriter, VideoWriter

HEIGHT, WIDTH = 240, 426
BOX = 80
PARTS = 5


def position(t: int) -> tuple[int, int]:
    """Where the box is in frame t: it circles."""
    angle = 2 * np.pi * t / 120
    return int(80 + 50 * np.sin(angle)), int(170 + 90 * np.cos(angle))


def write_video(path: Path, frames: int, scale: int = 1) -> None:
    """A textured box that circles over a textured ground, all of it `scale` times as large."""
    rng = np.random.default_rng(0)
    ground = np.kron(rng.integers(0, 120, (HEIGHT // 6, WIDTH // 6, 3)), np.ones((6, 6, 1))).astype(np.uint8)
    box = np.kron(rng.integers(120, 256, (BOX // 8, BOX // 8, 3)), np.ones((8, 8, 1))).astype(np.uint8)
    with VideoWriter(path, fps=25) as writer:
        for t in range(frames):
            frame = ground.copy()
            y, x = position(t)
            frame[y : y + BOX, x : x + BOX] = box
            writer.write(frame.repeat(scale, 0).repeat(scale, 1))


def segment(video: Path, weights: str, threads: int, sender: Any) -> None:  # noqa: ANN401
    """Segment a video; report the peak memory in MiB and, per frame, its seconds and those of the yardstick."""
    torch.set_num_threads(threads)
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    y, x = position(0)
    mask[y : y + BOX, x : x + BOX] = 1
    names = open_frames(video).names
    yardstick = machine(torch.device("cpu"))["matrix product"]
    times = []
    with tempfile.TemporaryDirectory() as directory, MaskWriter(directory) as writer:
        start = time.perf_counter()
        for name, predicted in zip(names, VideoSegmenter(weights, "cpu").segment(video, mask), strict=True):
            writer.write(name, predicted)
            end = time.perf_counter()
            yardstick()
            times.append((end - start, time.perf_counter() - end))
            start = time.perf_counter()
    sender.send((peak_resident(), times[10:]))  # by then the memory has filled and everything is warm


def measure(video: Path, options: argparse.Namespace) -> tuple[float, list[tuple[float, float]]]:
    """`segment` in a process of its own."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=segment, args=(video, options.weights, options.threads, sender))
    process.start()
    sender.close()  # so that a process that fails ends the wait
    peak, times = receiver.recv()
    process.join()
    return peak, times


def describe(times: list[tuple[float, float]]) -> str:
    """Median milliseconds per frame, and how many yardsticks that is."""
    frame, yardstick = (statistics.median(column) for column in zip(*times, strict=True))
    return f"{frame * 1e3:.1f} ({frame / yardstick:.1f})"


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="30 and 90 frames")
    parser.add_argument("--lengths", type=int, nargs="+", default=[100, 1000])
    parser.add_argument("--weights", default="lab")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as directory:
        for length in [30, 90] if options.quick else options.lengths:
            video = Path(directory) / f"{length}.mp4"
            write_video(video, length)
            peak, times = measure(video, options)
            parts = [times[i * len(times) // PARTS : (i + 1) * len(times) // PARTS] for i in range(PARTS)]
            rows.append([length, f"{peak:.0f}", *map(describe, parts)])
    header = ["frames", "peak MiB", *(f"part {i + 1} of {PARTS}" for i in range(PARTS))]
    print_table(f"segment, {WIDTH}×{HEIGHT}, {options.weights}: ms per frame (in matrix products)", header, rows)


if __name__ == "__main__":
    main()
