"""The ablations of CT-VOS (Tables 3-7): trains each row alike, scores it on a DAVIS tree, prints the paper's beside it.

    python examples/ct_vos_ablations.py my_videos --val-root DAVIS [--tables 3 5] [--seeds 3] [--set data.crop_size=96]

Rows are `examples/ct_vos_small.yaml`, from scratch, with a few switches set; --config takes another base
(ct_vos_youtube_vos.yaml is the paper's) and --set changes it for all rows. Each row is trained once per seed. Complete
runs are kept: start it again to go on. Zooming into 3 and 5 frames needs clips of 4 and 6: rows that the clips are too
short for are left out. The paper's numbers are of DAVIS-2017 validation, ResNet-18, 400 epochs of YouTube-VOS. Beside
J&F stand the true matches (`benchmarks/matches.py`) of the sequences' first frames, also after each fifth of the steps.
"""

import argparse
import inspect
import json
import statistics
import zlib
from pathlib import Path
from pkgutil import resolve_name
from typing import Any, NamedTuple

import pytorch_lightning as pl
import torch
import yaml

from vos_lightning import CTVOS
from vos_lightning.callbacks.checkpoints import LastCheckpoint
from vos_lightning.data import DAVISDataModule
from vos_lightning.inference.tracking.matches import true_match_share

ZOOM = (1.5, 2.0)
MEASURES = ("JF", "J", "F", "true_matches")
# of one training: each measure in per cent, and the curve of true matches
Scores = dict[str, Any]


class Row(NamedTuple):
    """One row: which tables it is in, what it sets, and the paper's J&F, J and F."""

    tables: tuple[int, ...]
    name: str
    model: dict[str, Any]
    data: dict[str, Any]
    paper: tuple[float, float, float]


NO_TAGS = {"tags": {"loss": "none"}}

ROWS = (
    Row(
        (3,),
        "without cutout",
        {"cutout": {"shape": "none"}} | NO_TAGS,
        {"zoom_levels": ()},
        (59.7, 58.4, 60.9),
    ),
    Row((3,), "with cutout", NO_TAGS, {"zoom_levels": ()}, (63.9, 63.6, 64.2)),
    Row((3,), "+ tagging", {}, {"zoom_levels": ()}, (66.3, 65.9, 66.7)),
    Row((3, 4, 5, 6, 7), "+ zoom: the full model", {}, {"zoom_levels": ZOOM}, (68.2, 67.1, 69.2)),
    Row((4,), "rectangle", {"cutout": {"shape": "rectangle"}}, {"zoom_levels": ZOOM}, (67.9, 66.7, 69.1)),
    Row((4,), "triangle", {"cutout": {"shape": "triangle"}}, {"zoom_levels": ZOOM}, (67.3, 66.0, 68.5)),
    Row((4,), "circle", {"cutout": {"shape": "circle"}}, {"zoom_levels": ZOOM}, (67.1, 65.9, 68.2)),
    Row((5,), "pull only", {"tags": {"loss": "pull"}}, {"zoom_levels": ZOOM}, (65.6, 66.8, 64.4)),
    Row((5,), "push only", {"tags": {"loss": "push"}}, {"zoom_levels": ZOOM}, (66.7, 65.8, 67.5)),
    Row((6,), "cross entropy", {"tags": {"loss": "bce"}}, {"zoom_levels": ZOOM}, (65.9, 66.2, 65.5)),
    Row((7,), "3 frames zoomed", {}, {"zoom_levels": ZOOM, "zoom_frames": 3}, (67.7, 66.5, 68.9)),
    Row((7,), "5 frames zoomed", {}, {"zoom_levels": ZOOM, "zoom_frames": 5}, (67.6, 66.3, 68.9)),
)


def main(arguments: list[str] | None = None) -> None:
    """Train, score, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", help="of the training videos")
    parser.add_argument("--val-root", required=True, help="DAVIS tree")
    parser.add_argument("--year", choices=("2016", "2017"), default="2017")
    parser.add_argument("--config", type=Path, default=Path(__file__).parent / "ct_vos_small.yaml")
    parser.add_argument("--tables", type=int, nargs="+", choices=(3, 4, 5, 6, 7), default=[3, 4, 5, 6, 7])
    parser.add_argument("--seeds", type=int, default=1, help="times that each row is trained")
    parser.add_argument(
        "--set", nargs="+", default=[], metavar="PART.OPTION=VALUE", help="part: model, data or trainer"
    )
    parser.add_argument("--output", type=Path, default=Path("runs/ct_vos_ablations"))
    options = parser.parse_args(arguments)
    try:
        config = read(options.config, options.root, options.set)
    except ValueError as error:
        parser.error(str(error))
    settings = {"config": config, "val_root": options.val_root, "year": options.year}
    rows = [row for row in ROWS if {*row.tables} & {*options.tables} and fits(row, config["data"]["init_args"])]
    file = options.output / "scores.json"
    earlier = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else settings | {"scores": {}}
    if {name: earlier.get(name) for name in settings} != settings:
        parser.error(f"{file} has scores of other settings; give another --output")
    scores: dict[str, list[Scores]] = earlier["scores"]
    for seed in range(options.seeds):
        for row in rows:
            done = scores.setdefault(row.name, [])
            if len(done) == seed:
                done.append(measure(row, seed, config, options))
                file.write_text(json.dumps(settings | {"scores": scores}, indent=1), encoding="utf-8")
        print("\n" + table(rows, scores), flush=True)


def read(path: Path, root: str, changes: list[str]) -> dict[str, Any]:
    """The base config with the changes.

    Raises:
        ValueError: a change of what there isn't.
    """
    config: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    config["data"]["init_args"]["root"] = root
    for change in changes:
        place, _, value = change.partition("=")
        part, _, option = place.partition(".")
        classes = {"model": CTVOS, "data": resolve_name(config["data"]["class_path"]), "trainer": pl.Trainer}
        if part not in classes or option not in inspect.signature(classes[part]).parameters:
            raise ValueError(f"--set {change}: no option {place}")
        options = config[part] if part == "trainer" else config[part]["init_args"]
        options[option] = yaml.safe_load(value)
    return config


def fits(row: Row, data: dict[str, Any]) -> bool:
    """Whether the clips have as many past frames as the row zooms into."""
    return row.data.get("zoom_frames", 1) < data["clip_length"]


def measure(row: Row, seed: int, config: dict[str, Any], options: argparse.Namespace) -> Scores:
    """Train one row and score it."""
    pl.seed_everything(seed, workers=True)
    folder = options.output / f"{row.name.replace(' ', '_').replace(':', '')}_{seed}"
    data = resolve_name(config["data"]["class_path"])(**(config["data"]["init_args"] | row.data | {"seed": seed}))
    labelled = DAVISDataModule(options.val_root, year=options.year)
    model = CTVOS(**merged(config["model"]["init_args"], row.model))
    curve = MatchCurve(labelled)
    quiet = {"logger": False, "enable_model_summary": False, "limit_val_batches": 0, "default_root_dir": folder}
    callbacks = [LastCheckpoint(str(folder)), curve]
    pl.Trainer(**(config["trainer"] | quiet), callbacks=callbacks).fit(model, data)
    scorer = pl.Trainer(**(config["trainer"] | quiet | {"limit_val_batches": None}), callbacks=callbacks[:1])
    (scores,) = scorer.validate(model, labelled, verbose=False)
    return {name: 100 * scores[f"val/{name}"] for name in MEASURES} | {"curve": curve.shares}


class MatchCurve(pl.Callback):
    """The share of true matches in the sequences' first frames, at the start and after every fifth of the training."""

    def __init__(self, labelled: DAVISDataModule) -> None:
        sequences = labelled.sequences("validate")
        self.frames = {
            sequence["sequence"]: torch.from_numpy(sequence["frames"][0].copy()).permute(2, 0, 1)
            for sequence in sequences
        }
        self.shares: list[float] = []

    def on_train_start(self, trainer: pl.Trainer, model: CTVOS) -> None:
        """The first."""
        self.note(model)

    def on_train_batch_end(self, trainer: pl.Trainer, model: CTVOS, *_: object) -> None:
        """The others."""
        if trainer.global_step * 5 // trainer.max_steps >= len(self.shares):
            self.note(model)

    def note(self, model: CTVOS) -> None:
        """One more."""
        model.eval()
        tracker = model.tracker().prepared(model.device)
        shares = [
            true_match_share(tracker, frame.to(model.device), zlib.crc32(name.encode()))  # the warps of validation
            for name, frame in self.frames.items()
        ]
        model.train()
        self.shares.append(100 * sum(shares) / len(shares))


def merged(options: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Options with changes; of groups only what is named changes."""
    groups = {name: options.get(name, {}) | value for name, value in changes.items() if isinstance(value, dict)}
    return options | changes | groups


def table(rows: list[Row], scores: dict[str, list[Scores]]) -> str:
    """Markdown: mean and standard deviation over the seeds."""
    lines = [
        "| table | | J&F | J | F | true matches | over the training | the paper's J&F, J, F |",
        "|---|" + "---|" * 7,
    ]
    for row in rows:
        done = scores[row.name]
        cells = [spread([seed[name] for seed in done]) for name in MEASURES]
        curves = zip(*(seed["curve"] for seed in done), strict=True)
        curve = ", ".join(f"{statistics.mean(shares):.0f}" for shares in curves)
        tables = ", ".join(map(str, row.tables))
        lines.append(f"| {tables} | {row.name} | {' | '.join(cells)} | {curve} | {', '.join(map(str, row.paper))} |")
    return "\n".join(lines)


def spread(values: list[float]) -> str:
    """Mean ± standard deviation, which one seed doesn't have."""
    mean = f"{statistics.mean(values):.1f}"
    return f"{mean} ± {statistics.stdev(values):.1f}" if len(values) > 1 else mean


if __name__ == "__main__":
    main()
