"""`vos-lightning demo`: the whole line on generated videos: train, segment, score, look; then a real clip."""

import logging
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytorch_lightning as pl

from vos_lightning.callbacks.checkpoints import LastCheckpoint
from vos_lightning.callbacks.progress import default_progress
from vos_lightning.commands.parser import Parser
from vos_lightning.commands.segment_video import Drawing, segment
from vos_lightning.data import SyntheticDataModule
from vos_lightning.errors import VOSError
from vos_lightning.io.files import unwritable
from vos_lightning.io.frames import open_frames
from vos_lightning.io.masks import read_mask, write_mask
from vos_lightning.io.terminal import say
from vos_lightning.metrics import JFMeasure
from vos_lightning.tasks.mast import MAST

STEPS = 250
CLIP = Path(__file__).parent / "clip" / "juggle.mp4"
"""A man who juggles a ball, three seconds; `clip/README.md` says whose it is."""
FIRST = CLIP.with_name("first.json")
"""The two of them in its first frame, drawn by hand."""
COPY, LAB, TRAINED = "copy of the first mask", "Lab patches (nothing learned)", "trained just now"

Scores = dict[str, float]


def main(arguments: Sequence[str]) -> int:
    """Parse the arguments and run."""
    parser = Parser(
        prog="vos-lightning demo",
        description="Train a small model on generated videos, follow objects through videos it has not seen, and score "
        "the masks beside copying the first mask and matching colours; then follow two objects through a real clip "
        "by the weights that ship. Needs no data and no network.",
    )
    parser.add_argument("--output", type=Path, default=Path("demo"), metavar="DIR", help="default: demo")
    parser.add_argument("--steps", type=int, default=STEPS, help=f"of training, default: {STEPS}")
    options = parser.parse_args(arguments)
    if options.steps < 1:
        raise VOSError(f"--steps is {options.steps}; expected 1 or more")
    run(options.output, options.steps)
    return 0


def run(output: Path, steps: int = STEPS) -> dict[str, Scores]:
    """Train, segment and score.

    Args:
        output: folder for videos, checkpoint, masks and overlay videos.
        steps: of training.

    Returns:
        J, F and JF over all objects, by method.

    Raises:
        VOSError: the folder holds something else than an earlier demo.
    """
    _check_own(output)
    start = time.perf_counter()
    data = _data(output)
    checkpoint = _train(data, output, steps)
    say(f"trained {steps} steps on generated videos: {checkpoint}")
    methods = {
        COPY: (_copy_first_mask, output / "copy"),
        LAB: (_tracked_by("lab"), output / "lab"),
        TRAINED: (_tracked_by(str(checkpoint)), output / "trained"),
    }
    scores = {name: _score(data.root, method, folder) for name, (method, folder) in methods.items()}
    print(_table(scores))
    say(f"masks and overlay videos are in {output / 'trained'}")
    real = segment(CLIP, FIRST, output / "real", device="cpu", drawing=Drawing())
    say(f"a real clip, by the weights that ship: {real.line()}")
    say(f"took {time.perf_counter() - start:.0f} s")
    return scores


def _check_own(output: Path) -> None:
    """Files of a demo have fixed names, such as last.ckpt: they only go where nothing else is."""
    mark = output / ".vos_lightning_demo"
    if output.is_dir() and any(output.iterdir()) and not mark.exists():
        raise VOSError(f"{output}: holds something else than an earlier demo; choose a new folder")
    try:
        output.mkdir(parents=True, exist_ok=True)
        mark.touch()
    except OSError as error:
        raise unwritable(output, error) from error


def _data(output: Path) -> SyntheticDataModule:
    return SyntheticDataModule(
        str(output / "videos"),
        batch_size=8,
        num_workers=1,
        size=(128, 192),
        short_side=128,
        crop_size=96,
        crop_scale=(0.25, 1.0),
        num_videos=48,
        num_val_videos=3,
        num_frames=32,
        clips_per_video=50,
    )


def _train(data: SyntheticDataModule, output: Path, steps: int) -> Path:
    """Fit a narrow model and give its checkpoint."""
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)  # no news of accelerators that are not there
    pl.seed_everything(0, workers=True, verbose=False)
    checkpoint = LastCheckpoint(str(output))
    trainer = pl.Trainer(
        max_steps=steps,
        max_epochs=-1,
        limit_val_batches=0,
        gradient_clip_val=1.0,
        default_root_dir=output,
        logger=False,
        enable_model_summary=False,
        callbacks=[checkpoint, default_progress(sys.stderr)],
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="pytorch_lightning")  # advice on settings that are deliberate here
        trainer.fit(MAST(width=0.25, radius=6, learning_rate=3e-3), datamodule=data)
    return Path(checkpoint.best_model_path)


def _score(root: Path, method: Callable[[Path, Path, Path], None], folder: Path) -> Scores:
    """Run a method on all sequences of a DAVIS tree, its masks going to folder/sequence, and score them."""
    measure = JFMeasure()
    for frames in sorted((root / "JPEGImages" / "480p").iterdir()):
        truth = root / "Annotations" / "480p" / frames.name
        method(frames, truth, folder / frames.name)
        names = open_frames(frames).names
        measure.update(_masks(folder / frames.name, names), _masks(truth, names), frames.name)
    return {name: float(value) for name, value in measure.compute().items() if name in ("J", "F", "JF")}


def _masks(folder: Path, names: Sequence[str]) -> Iterator[npt.NDArray[np.uint8]]:
    return (read_mask(folder / f"{name}.png") for name in names)


def _table(scores: dict[str, Scores]) -> str:
    """J&F, J and F in per cent, best first."""
    title = "on unseen generated videos"
    width = max(map(len, (title, *scores)))
    lines = [f"{title:<{width}}    J&F      J      F"]
    for name, row in sorted(scores.items(), key=lambda item: -item[1]["JF"]):
        lines.append(f"{name:<{width}}  {row['JF'] * 100:5.1f}  {row['J'] * 100:5.1f}  {row['F'] * 100:5.1f}")
    return "\n".join(lines)


def _copy_first_mask(frames: Path, truth: Path, output: Path) -> None:
    names = open_frames(frames).names
    first = read_mask(truth / f"{names[0]}.png")
    output.mkdir(parents=True, exist_ok=True)
    for name in names:
        write_mask(output / f"{name}.png", first)


def _tracked_by(weights: str) -> Callable[[Path, Path, Path], None]:
    def track(frames: Path, truth: Path, output: Path) -> None:
        first = truth / f"{open_frames(frames).names[0]}.png"
        segment(frames, first, output, weights=weights, device="cpu", drawing=Drawing())

    return track
