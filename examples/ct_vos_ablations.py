"""The ablations of CT-VOS (Tables 3-7): trains each row alike, scores it on a DAVIS tree, prints the paper's beside it.

    python examples/ct_vos_ablations.py my_videos --val-root DAVIS [--tables 3 5] [--set trainer.max_steps=500]

Rows are `examples/ct_vos_videos.yaml`, which starts from MAST, with a few switches set; --config takes another base
(ct_vos_youtube_vos.yaml is the paper's) and --set changes it for all rows: from scratch is --set model.init_from=null
'model.matching={encoder: mast, radius: 8, bottleneck: true}'. Zooming into 3 and 5 frames needs clips of 4 and 6: rows
that the clips are too short for are left out. The paper's numbers are of DAVIS-2017 validation, ResNet-18, 400 epochs
of YouTube-VOS.
"""

import argparse
import importlib
import json
from pathlib import Path
from typing import Any, NamedTuple

import pytorch_lightning as pl
import yaml

from vos_lightning import CTVOS
from vos_lightning.callbacks.checkpoints import LastCheckpoint
from vos_lightning.data import DAVISDataModule

ZOOM = (1.5, 2.0)


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
    parser.add_argument("--config", type=Path, default=Path(__file__).parent / "ct_vos_videos.yaml")
    parser.add_argument("--tables", type=int, nargs="+", choices=(3, 4, 5, 6, 7), default=[3, 4, 5, 6, 7])
    parser.add_argument(
        "--set", nargs="+", default=[], metavar="PART.OPTION=VALUE", help="part: model, data or trainer"
    )
    parser.add_argument("--output", type=Path, default=Path("runs/ct_vos_ablations"))
    options = parser.parse_args(arguments)
    config = read(options.config, options.root, options.set)
    rows = [row for row in ROWS if {*row.tables} & {*options.tables} and fits(row, config["data"]["init_args"])]
    scores: dict[str, dict[str, float]] = {}
    for row in rows:
        scores[row.name] = measure(row, config, options)
        (options.output / "scores.json").write_text(json.dumps(scores, indent=1), encoding="utf-8")
        print("\n" + table([row for row in rows if row.name in scores], scores), flush=True)


def read(path: Path, root: str, changes: list[str]) -> dict[str, Any]:
    """The base config with the changes."""
    config: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    config["data"]["init_args"]["root"] = root
    for change in changes:
        place, value = change.split("=", 1)
        part, option = place.split(".", 1)
        options = config[part] if part == "trainer" else config[part]["init_args"]
        options[option] = yaml.safe_load(value)
    return config


def fits(row: Row, data: dict[str, Any]) -> bool:
    """Whether the clips have as many past frames as the row zooms into."""
    return row.data.get("zoom_frames", 1) < data["clip_length"]


def measure(row: Row, config: dict[str, Any], options: argparse.Namespace) -> dict[str, float]:
    """Train one row and score it."""
    pl.seed_everything(config["seed_everything"], workers=True)
    folder = options.output / row.name.replace(" ", "_").replace(":", "")
    module, name = config["data"]["class_path"].rsplit(".", 1)
    data = getattr(importlib.import_module(module), name)(**(config["data"]["init_args"] | row.data))
    model = CTVOS(**merged(config["model"]["init_args"], row.model))
    quiet = {"logger": False, "enable_model_summary": False, "limit_val_batches": 0, "default_root_dir": folder}
    trainer = pl.Trainer(**(config["trainer"] | quiet), callbacks=[LastCheckpoint(str(folder))])
    trainer.fit(model, data)
    (scores,) = trainer.test(model, DAVISDataModule(options.val_root, year=options.year), verbose=False)
    return {measure: 100 * scores[f"test/{measure}"] for measure in ("JF", "J", "F")}


def merged(options: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Options with changes; of groups only what is named changes."""
    groups = {name: options.get(name, {}) | value for name, value in changes.items() if isinstance(value, dict)}
    return options | changes | groups


def table(rows: list[Row], scores: dict[str, dict[str, float]]) -> str:
    """Markdown."""
    lines = ["| table | | J&F | J | F | the paper's J&F, J, F |", "|---|---|---|---|---|---|"]
    for row in rows:
        cells = [f"{scores[row.name][measure]:.1f}" for measure in ("JF", "J", "F")]
        tables = ", ".join(map(str, row.tables))
        lines.append(f"| {tables} | {row.name} | {' | '.join(cells)} | {', '.join(map(str, row.paper))} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
