"""J&F of trackers on the sequences of a DAVIS tree, beside copying the first mask.

    python benchmarks/tracking.py ../shared/data/DAVIS-2016-mini --year 2016 --weights lab default my.ckpt [--adapt]

Masks go to --output, one folder per tracker, through the same code as `vos-lightning segment`.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from vos_lightning.commands.segment_video import segment
from vos_lightning.data import DAVISDataModule
from vos_lightning.evaluation.scoring import evaluate_folder
from vos_lightning.inference.adaptation import EncoderSettings
from vos_lightning.io.frames import open_frames
from vos_lightning.io.masks import read_mask, write_mask

Means = dict[str, tuple[float, float]]


def main(arguments: Sequence[str] | None = None) -> None:
    """Track, score, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path, help="DAVIS tree")
    parser.add_argument("--year", choices=("2016", "2017"), default="2017")
    parser.add_argument("--weights", nargs="+", default=["lab", "default"])
    parser.add_argument("--sequences", nargs="+", help="default: the validation split")
    parser.add_argument("--max-size", type=int)
    parser.add_argument("--precision", default="auto", help="as for `segment`")
    parser.add_argument("--adapt", action="store_true", help="let encoders learn from each sequence's own masks")
    parser.add_argument("--output", type=Path, default=Path("runs/tracking"))
    options = parser.parse_args(arguments)
    data = DAVISDataModule(str(options.root), year=options.year, sequences=options.sequences)
    data.setup("validate")
    masks = options.root / "Annotations" / "480p"
    table: dict[str, Means] = {}
    for number, weights in enumerate(["copy", *options.weights]):
        folder = options.output / f"{number}-{Path(weights).stem}"
        settings = {
            "max_size": options.max_size,
            "precision": options.precision,
            "adapter": EncoderSettings() if options.adapt else None,
        }
        speed = [_track(item, masks, folder, weights, settings) for item in data.val_dataloader()]
        report = evaluate_folder(folder, masks, f"davis{options.year}")
        table[weights] = _means(report.to_dict()["per_object"])
        if weights != "copy":
            print(f"{weights}: {sum(n for n, _ in speed) / sum(s for _, s in speed):.2f} frames per second")
    _print(table)


def _track(item: dict, masks: Path, folder: Path, weights: str, settings: dict) -> tuple[int, float]:
    """Masks of one sequence: (frames, seconds)."""
    first = masks / item["sequence"] / f"{item['frames'].names[0]}.png"
    output = folder / item["sequence"]
    if weights != "copy":
        written = segment(item["frames"].path, first, output, weights=weights, **settings)
        return len(written.names), written.seconds
    output.mkdir(parents=True, exist_ok=True)
    for name in open_frames(item["frames"].path).names:
        write_mask(output / f"{name}.png", read_mask(first))
    return len(item["frames"]), float("inf")


def _means(rows: list[dict]) -> Means:
    """(J, F) of each sequence, and of all objects under `mean`."""
    sequences = sorted({row["sequence"] for row in rows})
    of = {name: [row for row in rows if row["sequence"] == name] for name in sequences} | {"mean": rows}
    return {
        name: (np.mean([r["J-Mean"] for r in group]), np.mean([r["F-Mean"] for r in group]))
        for name, group in of.items()
    }


def _print(table: dict[str, Means]) -> None:
    columns = list(next(iter(table.values())))
    print("| J / F | " + " | ".join(columns) + " | J&F |")
    print("|---|" + "---|" * (len(columns) + 1))
    for weights, means in table.items():
        cells = [f"{j:.3f} / {f:.3f}" for j, f in means.values()]
        print(f"| {weights} | " + " | ".join(cells) + f" | {sum(means['mean']) / 2 * 100:.1f} |")


if __name__ == "__main__":
    main()
