"""One video, or one live source, in; the masks of its frames out."""

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, nullcontext, suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.progress import Progress

from vos_lightning.errors import VOSError
from vos_lightning.inference.adaptation import AdapterSettings, EncoderSettings
from vos_lightning.inference.segmenter import VideoSegmenter
from vos_lightning.inference.tracking.track import require_frames
from vos_lightning.io.frames import Frame, FrameSource, open_frames
from vos_lightning.io.live import LiveSource, is_live
from vos_lightning.io.mask_folder import MaskFolder
from vos_lightning.io.overlay import overlay
from vos_lightning.io.prefetch import BackgroundReader
from vos_lightning.io.progress import progress_bar
from vos_lightning.io.terminal import say
from vos_lightning.io.writers import MaskWriter, VideoWriter

OVERLAY = "overlay.mp4"


@dataclass(frozen=True)
class Written:
    """What became of a video.

    Args:
        folder: of the results.
        names: of the frames.
        seconds: that they took.
        overlay: whether there is a video too.
    """

    folder: Path
    names: list[str]
    seconds: float
    overlay: bool

    def line(self, precision: str = "") -> str:
        """One line, with the numbers that were used."""
        names = " … ".join(f"{name}.png" for name in dict.fromkeys((self.names[0], self.names[-1])))
        masks = f"{len(self.names)} mask{'s' * (len(self.names) > 1)} in {self.folder}: {names}"
        speed = f"{len(self.names) / self.seconds:.1f} frames per second{precision and ' in '}{precision}"
        return f"{masks}{f', {OVERLAY}' * self.overlay} ({speed})"


@dataclass(frozen=True)
class Drawing:
    """How masks are drawn into the overlay video; see `overlay`."""

    alpha: float = 0.5
    legend: bool = False


def segment(
    video: str | Path,
    masks: Path | Mapping[int, Path],
    output: Path,
    *,
    drawing: Drawing | None = None,
    adapter: EncoderSettings | AdapterSettings | None = None,
    backward: bool = False,
    live_frames: int = 10_000,
    bar: Progress | None = None,
    **settings: Any,  # noqa: ANN401 - those of `VideoSegmenter`
) -> Written:
    """Follow the objects of masks through a video and write palette PNGs named after the frames.

    Args:
        video: a video file, a folder of frames, or a live source, which ends with itself or with Ctrl-C.
        masks: file of the first frame's objects, see `MaskReader`, or such by frame.
        output: folder for the masks and `overlay.mp4`.
        drawing: how to draw `overlay.mp4`; None writes none.
        adapter: how to adapt to the video; None doesn't.
        backward: see `VideoSegmenter.segment`.
        live_frames: how many of a live source, at most.
        bar: to show the progress in; the tasks that it has already advance as well. None shows one of its own.
        settings: `weights`, `device`, `max_size`, `precision` of `VideoSegmenter`.

    Raises:
        VOSError: input that can't be used.
    """
    prompts = masks if isinstance(masks, Mapping) else {0: masks}
    live = is_live(str(video))
    if live and (adapter or backward):
        raise VOSError(f"{video}: is live, and --adapt, --adapt-unet and --backward need a whole video; leave them out")
    _check_apart(output, *([] if live else [Path(video)]), *prompts.values())
    segmenter = VideoSegmenter(adapt=adapter or False, **settings)
    with ExitStack() as stack:
        source = _opened(str(video), live, stack)
        total = None if isinstance(source, LiveSource) else len(source)
        names = [f"{index:05d}" for index in range(live_frames)] if isinstance(source, LiveSource) else source.names
        require_frames(prompts, len(names))
        results = segmenter.segment(source, prompts=prompts, sequence=Path(video).stem, backward=backward)
        task = _add_task(bar, stack, str(video), total, "learning the video" if adapter else "")
        start, count = time.perf_counter(), 0
        first = next(results)  # what is wrong with the input shows here, before anything is written
        folder = stack.enter_context(MaskFolder(output, result_names(names, drawing), "segment")).path
        writer = stack.enter_context(MaskWriter(folder, results.palette))
        draw = _pencil(folder / OVERLAY, source, drawing, stack)
        if live or not sys.stderr.isatty():  # else the bar says it
            length = f"live, at most {live_frames} frames; Ctrl-C ends it" if live else f"{total} frames"
            say(f"{video}: {length}", sys.stderr)
        with suppress(KeyboardInterrupt) if live else nullcontext():
            for name, ids in zip(names, chain([first], results), strict=False):
                writer.write(name, ids)
                draw(ids)
                count += 1
                task()
        if total not in (None, count):
            raise VOSError(f"{video}: {count} of {total} frames could be read")
    return Written(output, names[:count], time.perf_counter() - start, drawing is not None)


def result_names(names: list[str], drawing: Drawing | None) -> list[str]:
    """The files that are written for frames of these names."""
    return [f"{name}.png" for name in names] + [OVERLAY] * (drawing is not None)


def _opened(video: str, live: bool, stack: ExitStack) -> FrameSource | LiveSource:
    """The frames; a live source is closed with the stack."""
    if not live:
        return open_frames(video)
    source = LiveSource(video)
    stack.callback(source.close)
    return source


def _add_task(bar: Progress | None, stack: ExitStack, name: str, total: int | None, note: str) -> Callable[[], None]:
    """Show progress, in a bar of one's own or in a given one until the stack ends; to be called after each frame."""
    own = bar or stack.enter_context(progress_bar())
    task = own.add_task(name, total=total, note=note)
    if bar is not None:
        stack.callback(bar.remove_task, task)

    def advance() -> None:
        for one in own.task_ids:
            own.update(one, advance=1, note="")

    return advance


def _pencil(
    path: Path, source: FrameSource | LiveSource, drawing: Drawing | None, stack: ExitStack
) -> Callable[[NDArray[np.uint8]], None]:
    """What draws each mask over its frame into a video that is complete when the stack ends."""
    if drawing is None:
        return lambda ids: None
    movie = stack.enter_context(VideoWriter(path, source.fps, source if isinstance(source, FrameSource) else None))
    pictures = _again(source)
    return lambda ids: movie.write(overlay(next(pictures), ids, drawing.alpha, drawing.legend))


def _again(source: FrameSource | LiveSource) -> Iterator[Frame]:
    """The frames once more: a second pass costs a decode, but holds none of them. A live one's last is the mask's."""
    if isinstance(source, FrameSource):
        yield from BackgroundReader(source)
    else:
        while True:
            yield source.last


def _check_apart(output: Path, *inputs: Path) -> None:
    """Results never go where an input lies, links followed.

    Raises:
        VOSError: an input is the folder of the results, or in it.
    """
    place = output.resolve()
    for one in inputs:
        if place in (one.resolve(), one.resolve().parent, one.parent.resolve()):
            raise VOSError(f"{output}: {one} is an input and lies there; choose another folder for the masks")
