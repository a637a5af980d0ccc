"""Tables 1, 2 and 3 of SSVOS at the scale that your machine allows, with the paper's numbers beside them.

    python examples/ablations.py CLIPS --davis DAVIS [--year 2017] [--steps 600] [--memory-steps 200]

CLIPS is a folder of raw videos; DAVIS a labelled tree to score on. Complete runs are kept: start it again to go
on. Writes ablations.json and ablations.png. With `--pairwise default` (or a checkpoint) the pairwise stage on videos is
not trained but taken from there, which shows what a memory adds to a model that has learned for long.

What differs from the paper: the training videos, the number of steps, batch and crops, half of the channels, and
normalised features with a temperature and top-10; the memory is encoded by the trained encoder
(--momentum-encoder: by the momentum encoder, as in the paper). What else this library adds in inference is off. In
"+ memory", one encoder learns from queries and references of clips of six frames; "images" are the first frames of the
same videos. The paper has no row for the pairwise stage trained on for as many steps as the memory's takes.
"""

import argparse
import json
import logging
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytorch_lightning as pl
from PIL import Image

from vos_lightning import MAST
from vos_lightning.callbacks.checkpoints import LastCheckpoint
from vos_lightning.data import DAVISDataModule, ImageFolderDataModule, VideoFolderDataModule
from vos_lightning.inference.tracking.settings import PLAIN
from vos_lightning.io.files import list_files
from vos_lightning.io.frames import open_frames

# name of the run: (trains on, frames per clip, with momentum, run that it starts from)
RUNS = {
    "pairwise": ("videos", 2, False, None),
    "longer": ("videos", 2, False, "pairwise"),
    "memory": ("videos", 6, False, "pairwise"),
    "momentum": ("videos", 6, True, "pairwise"),
    "images": ("images", 2, False, None),
    "images_momentum": ("images", 6, True, "images"),
}
# (table, row, J&F in the paper, run, recent frames in the memory)
ROWS = [
    ("1", "pairwise", 60.4, "pairwise", 4),
    ("1", "pairwise, trained on", None, "longer", 4),
    ("1", "+ memory (MAST)", 63.8, "memory", 4),
    ("1", "+ momentum memory", 68.2, "momentum", 4),
    ("2", "1 reference", 60.4, "momentum", 0),
    ("2", "3 references", 65.0, "momentum", 2),
    ("2", "5 references", 68.2, "momentum", 4),
    ("2", "all references", 66.4, "momentum", 1000),
    ("3", "100 videos, pairwise", 56.3, "pairwise", 4),
    ("3", "100 videos, + memory", 64.0, "momentum", 4),
    ("3", "100 images, pairwise", 55.0, "images", 4),
    ("3", "100 images, + memory", 61.6, "images_momentum", 4),
]
QUIET = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "max_epochs": -1}


def main(arguments: Sequence[str] | None = None) -> None:
    """Train what the rows need, score them, print the table."""
    options = _parser().parse_args(arguments)
    options.output.mkdir(parents=True, exist_ok=True)
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="pytorch_lightning")
    scores: dict[tuple[str, int], float] = {}
    print("| Table | row | paper | ours |\n|---|---|---|---|")
    results = []
    for table, name, paper, run, recent in [row for row in ROWS if row[0] in options.tables]:
        if (run, recent) not in scores:
            scores[run, recent] = score(train(run, options), recent, options)
        print(f"| {table} | {name} | {paper or '-'} | {scores[run, recent]:.1f} |", flush=True)
        results.append({"table": table, "row": name, "paper": paper, "ours": scores[run, recent]})
    (options.output / "ablations.json").write_text(json.dumps(results, indent=2))
    plot(results, options.output / "ablations.png")
    print(f"written to {options.output}: ablations.json, ablations.png")


def train(run: str, options: argparse.Namespace) -> str:
    """Weights of a run, trained unless they are there."""
    if run == "pairwise" and options.pairwise is not None:
        return options.pairwise
    source, clip_length, has_momentum, start = RUNS[run]
    folder = options.output / run
    checkpoint = folder / "last.ckpt"
    if (folder / "done").exists():
        return str(checkpoint)
    init_from = None if start is None else train(start, options)
    pl.seed_everything(0, workers=True, verbose=False)
    model = MAST(
        width=options.width,
        radius=6,
        learning_rate=1e-3 if start is None else 1e-4,
        momentum=options.momentum if has_momentum else None,
        init_from=init_from,
    )
    clips = {"clip_length": clip_length, "crop_size": 128, "crop_scale": options.crop_scale, "colour_jitter": 0.3}
    root = options.clips if source == "videos" else first_frames(options.clips, options.output / "stills")
    module = VideoFolderDataModule if source == "videos" else ImageFolderDataModule
    data = module(str(root), batch_size=8, num_workers=1, clips_per_video=20, **clips)
    trainer = pl.Trainer(
        max_steps=options.steps if start is None else options.memory_steps,
        precision="bf16-mixed",
        gradient_clip_val=1.0,
        callbacks=[LastCheckpoint(str(folder))],
        **QUIET,
    )
    trainer.fit(model, data)
    (folder / "done").touch()
    return str(checkpoint)


def first_frames(clips: Path, folder: Path) -> Path:
    """A folder of still images: the first frame of each video."""
    folder.mkdir(exist_ok=True)
    for video in list_files(clips, {".mp4", ".avi", ".mkv", ".mov", ".webm"}):
        Image.fromarray(open_frames(video)[0]).save(folder / f"{video.stem}.png")
    return folder


def score(weights: str, recent: int, options: argparse.Namespace) -> float:
    """J&F in percent with the first frame and some recent ones in the memory."""
    tracking = replace(
        PLAIN,
        offsets=tuple(range(1, recent + 1)),
        momentum_encoder=options.momentum_encoder,
        max_size=options.max_size,
    )
    if weights == options.pairwise:
        model = MAST(width=options.width, init_from=weights, tracking=tracking)
    else:
        model = MAST.load_from_checkpoint(weights, map_location="cpu", tracking=tracking)
    data = DAVISDataModule(str(options.davis), year=options.year, sequences=options.sequences)
    trainer = pl.Trainer(precision="bf16-mixed", enable_checkpointing=False, **QUIET)
    return 100 * trainer.test(model, data, verbose=False)[0]["test/JF"]


def plot(results: list[dict], path: Path) -> None:
    """Bars: the paper's and ours, row by row."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 5), layout="constrained")
    rows = range(len(results))
    axes.barh([i - 0.2 for i in rows], [r["paper"] or 0 for r in results], 0.4, label="paper, DAVIS-2017, full scale")
    axes.barh([i + 0.2 for i in rows], [r["ours"] for r in results], 0.4, label="here")
    axes.set_yticks(list(rows), [f"{r['table']}: {r['row']}" for r in results])
    axes.invert_yaxis()
    axes.set_xlabel("J&F")
    figure.legend(loc="outside upper center", ncols=2)
    figure.savefig(path, dpi=120)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", type=Path, help="folder of raw videos")
    parser.add_argument("--davis", type=Path, required=True, help="labelled sequences, DAVIS layout")
    parser.add_argument("--year", choices=("2016", "2017"), default="2017")
    parser.add_argument("--sequences", nargs="+", help="score only these")
    parser.add_argument("--steps", type=int, default=600, help="of the pairwise stage; 120 000 in the paper")
    parser.add_argument("--memory-steps", type=int, default=200, help="of the memory stage; 10 000 in the paper")
    parser.add_argument("--pairwise", metavar="WEIGHTS", help="take the pairwise stage on videos from here")
    parser.add_argument("--tables", nargs="+", choices=("1", "2", "3"), default=("1", "2", "3"))
    parser.add_argument("--crop-scale", type=float, nargs=2, default=(0.15, 1.0), help="shares of a frame's area")
    parser.add_argument("--momentum", type=float, default=0.999, help="m of eq. 8; fewer steps want a lower one")
    parser.add_argument(
        "--momentum-encoder", action="store_true", help="encode the memory by the momentum encoder, as in the paper"
    )
    parser.add_argument("--width", type=float, default=0.5, help="of the network; 1 in the paper")
    parser.add_argument("--max-size", type=int, help="scale frames down to this for scoring")
    parser.add_argument("--output", type=Path, default=Path("runs/ablations"))
    return parser


if __name__ == "__main__":
    main()
