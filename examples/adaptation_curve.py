"""The early-stopping curve of online adaptation (SSVOS Fig. 3) on your own sequence.

    python examples/adaptation_curve.py my_video.mp4 masks --truth ground_truth --output curve

`masks` are propagated ones, one PNG per frame, as `vos-lightning segment` writes them. Every few steps the network is
scored against them and, if there is any, against the ground truth, which is never used for training. `curve/` gets the
numbers through a logger (metrics.csv; Lightning's other loggers work the same) and curve.png, if matplotlib is there.
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from pytorch_lightning.loggers import CSVLogger

from vos_lightning.inference.adaptation import AdapterSettings, adapt
from vos_lightning.inference.adaptation.curve import CurvePoint, Monitor
from vos_lightning.io.frames import open_frames
from vos_lightning.io.masks import read_mask


def main(arguments: Sequence[str] | None = None) -> None:
    """Learn one sequence, log and draw the curve."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("video", type=Path, help="a video file or a folder of frames")
    parser.add_argument("masks", type=Path, help="folder of propagated masks")
    parser.add_argument("--truth", type=Path, help="folder of ground truth masks")
    parser.add_argument("--output", type=Path, default=Path("curve"))
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--every", type=int, default=20, help="steps between two points")
    parser.add_argument("--size", type=int, help="of the frames, a multiple of 32; the device's preset by default")
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args(arguments)
    settings = replace(AdapterSettings.preset(options.device), steps=options.steps)
    settings = settings if options.size is None else replace(settings, size=options.size)

    frames = open_frames(options.video)
    masks = (read_mask(options.masks / f"{name}.png") for name in frames.names)
    truth = [_read(options.truth / f"{name}.png") for name in frames.names] if options.truth else None
    logger = CSVLogger(options.output, name="", version="")

    def report(point: CurvePoint) -> None:
        logger.log_metrics(point.metrics(), point.step)
        print(f"step {point.step}: " + ", ".join(f"{name} {value:.3f}" for name, value in point.metrics().items()))

    monitor = Monitor(report, options.every, truth)
    for _ in adapt(frames, masks, settings=settings, sequence=options.video.stem, monitor=monitor):
        pass
    logger.save()
    draw(monitor.points, options.output / "curve.png")


def draw(points: Sequence[CurvePoint], path: Path) -> None:
    """J&F over steps."""
    try:
        import matplotlib.pyplot as plt
    except ImportError:
        print(f"install matplotlib to have {path} drawn")
        return
    steps = [point.step for point in points]
    names = {"adapter/JF_propagated": "against the propagated masks", "adapter/JF": "against the ground truth"}
    figure, axes = plt.subplots(figsize=(6, 4))
    for name, label in names.items():
        if name in points[0].metrics():
            axes.plot(steps, [100 * point.metrics()[name] for point in points], label=label)
    axes.set(xlabel="steps", ylabel="J&F")
    axes.legend()
    figure.savefig(path, dpi=150, bbox_inches="tight")
    plt.close(figure)


def _read(path: Path):  # noqa: ANN202 - a mask or None
    return read_mask(path) if path.is_file() else None


if __name__ == "__main__":
    main()
