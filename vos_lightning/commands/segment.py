"""`vos-lightning segment`: videos and masks of their objects in, masks for every frame out."""

import argparse
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any, get_args

from vos_lightning.errors import VOSError
from vos_lightning.inference.adaptation import AdapterSettings
from vos_lightning.inference.precision import Precision, usable_precision
from vos_lightning.inference.segmenter import VideoSegmenter, usable_device
from vos_lightning.inference.tracking.track import require_frames
from vos_lightning.io.files import list_files
from vos_lightning.io.frames import FrameSource, open_frames
from vos_lightning.io.mask_folder import MaskFolder, is_complete
from vos_lightning.io.mask_reader import MASK_SUFFIXES
from vos_lightning.io.overlay import overlay
from vos_lightning.io.prefetch import BackgroundReader
from vos_lightning.io.progress import progress_bar
from vos_lightning.io.terminal import say
from vos_lightning.io.writers import MaskWriter, VideoWriter

OVERLAY = "overlay.mp4"


def main(arguments: Sequence[str]) -> int:
    """Parse the arguments and run."""
    options = _parser().parse_args(arguments)
    settings = {
        "weights": options.weights,
        "device": options.device,
        "max_size": options.max_size,
        "with_overlay": options.overlay,
        "adapter": _adapter(options),
        "precision": options.precision,
        "backward": options.backward,
    }
    if options.masks is not None:
        return _segment_all(options.inputs, options.masks, options.output, settings)
    if len(options.inputs) > 1:
        raise VOSError(
            f"{len(options.inputs)} inputs, and --mask is for one; give --masks DIR, a folder of their masks"
        )
    if not options.mask:
        raise VOSError("which objects? give --mask FIRST.png, or --masks DIR; `vos-lightning studio` makes masks")
    frames, seconds = segment(options.inputs[0], _prompts(options.mask), options.output, **settings)
    numbers = str(usable_precision(options.precision, usable_device(options.device))).removeprefix("torch.")
    say(f"{frames} masks in {options.output} ({frames / seconds:.1f} frames per second in {numbers})")
    return 0


def _segment_all(videos: Sequence[Path], masks: Path, output: Path, settings: dict[str, Any]) -> int:
    """Segment videos one by one, each into its own folder; those that are done are left out.

    Returns:
        The exit code: 2 if any failed, which is said in its line, once the others are done.

    Raises:
        VOSError: two videos of one name.
    """
    names = [video.stem for video in videos]
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise VOSError(f"several inputs are called {repeated[0]}; their masks would go into one folder")
    failed = 0
    for number, video in enumerate(videos, start=1):
        place = output / video.stem
        try:
            if is_complete(place, _files(open_frames(video), settings["with_overlay"])):
                line = f"{place} is complete already"
            else:
                frames, seconds = segment(video, {0: _mask_of(video, masks)}, place, **settings)
                line = f"{frames} masks in {place} ({frames / seconds:.1f} frames per second)"
        except VOSError as error:
            failed += 1
            line = f"error: {error}"
        say(f"{number}/{len(videos)} {video}: {line}")
    return 2 if failed else 0


def _mask_of(video: Path, masks: Path) -> Path:
    """The mask of a video's first frame: NAME.png or another format, or the first one in a folder NAME.

    Raises:
        VOSError: there is none.
    """
    folder = masks / video.stem
    found = [path for path in (masks / f"{video.stem}{suffix}" for suffix in MASK_SUFFIXES) if path.is_file()]
    if not found and folder.is_dir():
        found = list_files(folder, MASK_SUFFIXES)
    if not found:
        raise VOSError(f"no mask for it: expected {folder}.png, or the first frame's in {folder}")
    return found[0]


def _prompts(masks: Sequence[str]) -> dict[int, Path]:
    """Masks by frame, from FILE and FILE@FRAME.

    Raises:
        VOSError: two for one frame.
    """
    prompts: dict[int, Path] = {}
    for text in masks:
        name, at, number = text.rpartition("@")
        is_later = bool(at) and number.isdecimal() and not Path(text).exists()
        frame = int(number) if is_later else 0
        if frame in prompts:
            raise VOSError(
                f"--mask {text}: there is one for frame {frame} already, {prompts[frame]}; draw them into one"
            )
        prompts[frame] = Path(name if is_later else text)
    return prompts


def _files(source: FrameSource, with_overlay: bool) -> list[str]:
    """Names of what is written."""
    return [f"{name}.png" for name in source.names] + [OVERLAY] * with_overlay


def segment(
    video: Path,
    masks: Path | Mapping[int, Path],
    output: Path,
    *,
    weights: str = "default",
    device: str = "auto",
    max_size: int | None = None,
    with_overlay: bool = False,
    adapter: AdapterSettings | None = None,
    precision: Precision = "auto",
    backward: bool = False,
) -> tuple[int, float]:
    """Follow the objects of masks through a video and write palette PNGs named after the frames.

    Args:
        video: a video file or a folder of frames.
        masks: file of the first frame's objects, see `MaskReader`, or such by frame.
        output: folder for the masks; `overlay.mp4` beside them if asked for.
        weights: see `VideoSegmenter`.
        device: see `VideoSegmenter`.
        max_size: see `VideoSegmenter`.
        with_overlay: also write a video of the masks over the frames.
        adapter: how to adapt to the video; None doesn't.
        precision: see `VideoSegmenter`.
        backward: see `VideoSegmenter.segment`.

    Returns:
        Number of frames, and the seconds that they took.

    Raises:
        VOSError: input that can't be used.
    """
    prompts = masks if isinstance(masks, Mapping) else {0: masks}
    _check_apart(output, video, *prompts.values())
    source = open_frames(video)
    require_frames(prompts, len(source))
    segmenter = VideoSegmenter(weights, device, max_size, adapter or False, precision=precision)
    results = segmenter.segment(source, prompts=prompts, sequence=video.stem, backward=backward)
    names = _files(source, with_overlay)
    start = time.perf_counter()
    count = 0
    with ExitStack() as stack:
        progress = stack.enter_context(progress_bar())
        task = progress.add_task(str(video), total=len(source), note="learning the video" if adapter else "")
        first = next(results)  # what is wrong with the input shows here, before anything is written
        folder = stack.enter_context(MaskFolder(output, names, "segment")).path
        writer = stack.enter_context(MaskWriter(folder, results.palette))
        movie = stack.enter_context(VideoWriter(folder / OVERLAY, source.fps)) if with_overlay else None
        # a second pass over the frames costs a decode, but holds none of them
        pictures = iter(BackgroundReader(source)) if movie else None
        for name, ids in zip(source.names, chain([first], results), strict=False):
            writer.write(name, ids)
            if movie is not None and pictures is not None:
                movie.write(overlay(next(pictures), ids))
            count += 1
            progress.update(task, advance=1, note="")
        if count != len(source):
            raise VOSError(f"{video}: {count} of {len(source)} frames could be read")
    return count, time.perf_counter() - start


def _check_apart(output: Path, *inputs: Path) -> None:
    """Results never go where an input lies, links followed.

    Raises:
        VOSError: an input is the folder of the results, or in it.
    """
    place = output.resolve()
    for one in inputs:
        if place in (one.resolve(), one.resolve().parent, one.parent.resolve()):
            raise VOSError(f"{output}: {one} is an input and lies there; choose another folder for the masks")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="vos-lightning segment",
        description="Follow the objects of a first-frame mask through a video. Writes one palette PNG per frame into "
        "the output folder, named after the frames (00000.png, 00001.png, … for a video file).",
    )
    parser.add_argument("inputs", type=Path, nargs="+", metavar="INPUT", help="a video file or a folder of frames")
    given = parser.add_mutually_exclusive_group()
    given.add_argument(
        "--mask",
        action="append",
        metavar="FILE[@FRAME]",
        help="objects of the first frame: a palette or grey picture of integer ids (0 is background), one colour per "
        "object, labelme or COCO JSON; again, with the frame, for objects that come later and for corrections: --mask "
        "first.png --mask later.png@40",
    )
    given.add_argument(
        "--masks",
        type=Path,
        metavar="DIR",
        help="for several inputs: masks of their first frames, NAME.png (or alike) or the first in folder NAME. "
        "Results go to a folder NAME each; those that are complete are left out, so that a run can be resumed",
    )
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="where the masks go")
    parser.add_argument(
        "--backward", action="store_true", help="follow objects backward too, from where each was given first"
    )
    parser.add_argument(
        "--weights",
        default="default",
        metavar="W",
        help="'default', 'lab' (matches colours, nothing learned), or a .ckpt or .safetensors file",
    )
    parser.add_argument("--device", default="auto", help="cpu, cuda, cuda:1, …; auto takes a GPU where there is one")
    parser.add_argument(
        "--precision",
        choices=get_args(Precision),
        default="auto",
        help="of the network and of similarities; auto takes bfloat16 where the device multiplies it faster",
    )
    parser.add_argument(
        "--max-size",
        type=_positive,
        metavar="PIXELS",
        help="scale frames with a longer side down to this for the network; masks keep the full size. Default: the "
        "limit that belongs to the weights, 640 for those that ship",
    )
    parser.add_argument(
        "--adapt",
        action="store_true",
        help="train a network on this video's own masks, minutes on a CPU, and take its masks: mends drift",
    )
    parser.add_argument(
        "--adapt-steps", type=_positive, metavar="N", help="training steps, 200 by default; more fit the errors too"
    )
    parser.add_argument("--adapt-seconds", type=float, metavar="S", help="train no longer than this")
    parser.add_argument(
        "--adapt-causal",
        action="store_true",
        help="adapt while the masks come, from earlier frames only; --adapt-steps are then of each refresh",
    )
    parser.add_argument("--overlay", action="store_true", help=f"also write {OVERLAY}: the masks over the frames")
    return parser


def _adapter(options: argparse.Namespace) -> AdapterSettings | None:
    """The device's preset with what the flags change.

    Raises:
        VOSError: flags of adaptation without it.
    """
    changes: dict[str, Any] = {"seconds": options.adapt_seconds, "mode": "causal" if options.adapt_causal else None}
    if options.adapt_steps is not None:
        changes |= {"steps": options.adapt_steps, "refresh_steps": options.adapt_steps}
    changes = {name: value for name, value in changes.items() if value is not None}
    if options.adapt:
        return replace(AdapterSettings.preset(usable_device(options.device)), **changes)
    if changes:
        raise VOSError("--adapt-steps, --adapt-seconds and --adapt-causal say how to adapt; add --adapt")
    return None


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("expected 1 or more")
    return value
