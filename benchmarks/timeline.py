"""What reads, tracks and writes a video when: processor time of each stage, and a timeline that shows their overlap.

    python benchmarks/timeline.py [--size 2160 3840] [--frames 20] [--weights default] [--threads 1]

A generated video is decoded, tracked and written to PNGs, as `segment` does, in the threads that do so. Processor time
is each thread's own; the timeline is wall time, in which threads wait for one another and for a core.
"""

from __future__ import annotations

import argparse
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import numpy as np
import torch
from _measure import print_table

from vos_lightning.inference.segmenter import VideoSegmenter
from vos_lightning.inference.tracking.network_frames import NetworkFrames
from vos_lightning.inference.tracking.propagator import Propagator
from vos_lightning.inference.tracking.reconstruction import ReconstructionPropagator
from vos_lightning.io import writers
from vos_lightning.io.video import VideoFile
from vos_lightning.io.writers import MaskWriter, VideoWriter

# Stages; those that are indented are part of the one before.
STAGES = ("read", "track", "  scale", "  draw", "write")
LANES = ("read", "track", "write")
COLUMNS = 96
SHOWN = 5


class Span(NamedTuple):
    """Something that was done."""

    stage: str
    start: float
    end: float
    processor: float


class Recorder:
    """Spans of what it watches, from all threads."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self._lock = threading.Lock()

    def timed(self, stage: str, function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:  # noqa: ANN401
        """Call a function."""
        start, processor = time.perf_counter(), time.thread_time()
        result = function(*arguments, **options)
        with self._lock:
            self.spans.append(Span(stage, start, time.perf_counter(), time.thread_time() - processor))
        return result

    def watch(self, stack: ExitStack, owner: Any, name: str, stage: str) -> None:  # noqa: ANN401
        """Record the calls of a function or a method."""
        original = getattr(owner, name)
        stack.enter_context(mock.patch.object(owner, name, lambda *a, **k: self.timed(stage, original, *a, **k)))

    def watch_reading(self, stack: ExitStack) -> None:
        """Record the frames of videos."""
        original = VideoFile.__iter__

        def iterate(video: VideoFile) -> Iterator[Any]:
            frames, end = original(video), object()
            while (frame := self.timed("read", next, frames, end)) is not end:
                yield frame

        stack.enter_context(mock.patch.object(VideoFile, "__iter__", iterate))


def write_video(path: Path, size: tuple[int, int], frames: int) -> None:
    """Textured ground that moves a little, with a brighter box."""
    generator = np.random.default_rng(0)
    height, width = size
    ground = generator.integers(0, 160, (height // 8 + 2, width // 8 + 2, 3), dtype=np.uint8).repeat(8, 0).repeat(8, 1)
    with VideoWriter(path, fps=25) as writer:
        for t in range(frames):
            frame = ground[t % 8 : t % 8 + height, :width].copy()
            frame[height // 3 : height // 2, width // 3 + 4 * t : width // 2 + 4 * t] |= 128
            writer.write(frame)


def record(video: Path, size: tuple[int, int], weights: str, output: str) -> list[Span]:
    """Segment the video, watched."""
    height, width = size
    mask = np.zeros(size, np.uint8)
    mask[height // 3 : height // 2, width // 3 : width // 2] = 1
    recorder = Recorder()
    with ExitStack() as stack:
        recorder.watch_reading(stack)
        recorder.watch(stack, Propagator, "step", "track")
        recorder.watch(stack, NetworkFrames, "fit", "  scale")
        recorder.watch(stack, ReconstructionPropagator, "_to_ids", "  draw")
        recorder.watch(stack, writers, "write_mask", "write")
        writer = stack.enter_context(MaskWriter(output))
        for t, ids in enumerate(VideoSegmenter(weights, "cpu").segment(video, mask)):
            writer.write(f"{t:05d}", ids)
    return recorder.spans


def lane(spans: list[Span], start: float, end: float) -> str:
    """When something was done, one character per interval."""
    step = (end - start) / COLUMNS
    busy = [False] * COLUMNS
    for span in spans:
        for column in range(max(0, int((span.start - start) / step)), min(COLUMNS, int((span.end - start) / step) + 1)):
            busy[column] = True
    return "".join("#" if one else "." for one in busy)


def main() -> None:
    """Prints the table and the timeline."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, nargs=2, default=(2160, 3840), metavar=("HEIGHT", "WIDTH"))
    parser.add_argument("--frames", type=int, default=20)
    parser.add_argument("--weights", default="default", help="'default', 'lab', or a file of MAST")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    size = (options.size[0], options.size[1])
    with tempfile.TemporaryDirectory() as folder:
        video = Path(folder) / "video.mp4"
        write_video(video, size, options.frames)
        spans = record(video, size, options.weights, f"{folder}/masks")
    by_stage = {stage: [span for span in spans if span.stage == stage] for stage in STAGES}
    rows = [
        [stage, f"{sum(span.processor for span in by_stage[stage]) / options.frames * 1e3:.0f}"] for stage in STAGES
    ]
    print_table(f"{size[1]}×{size[0]}, {options.weights}", ["", "ms of processor time per frame"], rows)
    shown = by_stage["track"][options.frames // 2 :][:SHOWN]
    print(f"\n{len(shown)} frames in the middle, {(shown[-1].end - shown[0].start):.2f} s:\n")
    for stage in LANES:
        print(f"{stage:6}{lane(by_stage[stage], shown[0].start, shown[-1].end)}")


if __name__ == "__main__":
    main()
