"""Processor time of a training step of `examples/mast_videos.yaml`, its loader included, and what it is made of.

    python benchmarks/training.py [--videos FOLDER] [--steps 30] [--precision 32-true]

Everything runs in one thread of one process, loading too, and counts the time that this process has of the processor,
which other work on the machine disturbs little. The floor are the flops of the encoder's convolutions, forward and
backward, at the rate of a large matrix product in the same precision. Without a folder of videos it makes its own.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
import yaml
from _measure import GEMM_SIZE, print_table
from torch.utils.flop_counter import FlopCounterMode

from vos_lightning import MAST
from vos_lightning.allocator import keep_freed_memory
from vos_lightning.data import VideoFolderDataModule
from vos_lightning.data.synthetic.datasets import SyntheticSpec, write_davis_tree
from vos_lightning.data.tools.encoding import Encoding
from vos_lightning.data.tools.prepare import prepare_dataset

EXAMPLE = Path(__file__).parents[1] / "examples" / "mast_videos.yaml"
PARTS = ("loader, augmentation", "forward", "backward", "optimizer, logging")
WARM_UP = 3


class Clock(pl.Callback):
    """Seconds of each part of each step."""

    def __init__(self) -> None:
        """Begin with none."""
        self.steps: list[list[float]] = []
        self._marks: list[float] = []

    def on_train_start(self, *_: Any) -> None:  # noqa: ANN401, D102
        self._marks = [time.process_time()]

    def on_train_batch_start(self, *_: Any) -> None:  # noqa: ANN401, D102
        self._marks.append(time.process_time())

    on_before_backward = on_after_backward = on_train_batch_start

    def on_train_batch_end(self, *_: Any) -> None:  # noqa: ANN401, D102
        self._marks.append(time.process_time())
        self.steps.append([end - start for start, end in zip(self._marks, self._marks[1:], strict=False)])
        self._marks = self._marks[-1:]


def make_videos(folder: Path) -> Path:
    """Six of 480p with a short side of 256 pixels."""
    write_davis_tree(folder, train=range(6), val=(), spec=SyntheticSpec(24, (480, 854), 3))
    prepare_dataset(folder / "JPEGImages", folder / "videos", encoding=Encoding(short_side=256, gop=250))
    return folder / "videos"


def train(videos: Path, precision: str, steps: int, folder: str) -> list[float]:
    """Median seconds of each part."""
    config = yaml.safe_load(EXAMPLE.read_text())
    options = config["data"]["init_args"] | {"root": str(videos), "num_workers": 0, "clips_per_video": 200}
    clock = Clock()
    trainer = pl.Trainer(
        max_steps=steps + WARM_UP,
        precision=precision,  # type: ignore[arg-type]
        gradient_clip_val=config["trainer"]["gradient_clip_val"],
        log_every_n_steps=config["trainer"]["log_every_n_steps"],
        default_root_dir=folder,
        accelerator="cpu",
        callbacks=[clock],
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
    )
    trainer.fit(MAST(**config["model"]["init_args"]), VideoFolderDataModule(**options))
    return [statistics.median(times) for times in zip(*clock.steps[WARM_UP:], strict=True)]


def floor(dtype: torch.dtype) -> float:
    """Seconds that the convolutions of a step take at the rate of a matrix product."""
    config = yaml.safe_load(EXAMPLE.read_text())
    data, encoder = config["data"]["init_args"], MAST(**config["model"]["init_args"]).encoder
    with FlopCounterMode(display=False) as flops:
        frames = torch.rand(data["batch_size"] * data["clip_length"], 3, data["crop_size"], data["crop_size"])
        encoder(frames).sum().backward()
    a, b = (torch.randn(GEMM_SIZE, GEMM_SIZE, dtype=dtype) for _ in range(2))
    times = []
    for _ in range(10):
        start = time.process_time()
        torch.mm(a, b)
        times.append(time.process_time() - start)
    return float(flops.get_total_flops() * statistics.median(times) / (2 * GEMM_SIZE**3))


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--videos", type=Path, help="folder of videos; default: generated ones")
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--precision", default="bf16-mixed", choices=("bf16-mixed", "32-true"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    keep_freed_memory()
    with tempfile.TemporaryDirectory() as folder:
        videos = options.videos or make_videos(Path(folder))
        parts = train(videos, options.precision, options.steps, folder)
    whole, least = sum(parts), floor(torch.bfloat16 if options.precision == "bf16-mixed" else torch.float32)
    rows = [(name, f"{seconds * 1e3:.0f}", "") for name, seconds in zip(PARTS, parts, strict=True)]
    rows += [("step", f"{whole * 1e3:.0f}", f"{whole / least:.2f}"), ("floor", f"{least * 1e3:.0f}", "1")]
    print_table(f"mast_videos.yaml, {options.precision}", ["", "ms", "times the floor"], rows)
    print(f"\n1,000 steps: {whole * 1e3:.0f} s of one processor.")


if __name__ == "__main__":
    main()
