"""What online adaptation costs: seconds per step and per sequence, beside the floor that its multiplications set.

    python benchmarks/adaptation.py --threads 1
    python benchmarks/adaptation.py --device cuda --size 480 --width 1.0

The floor is the network's convolutions, forward and backward, at the rate of the machine's own matrix product.
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from _measure import clock_by_name, print_table, synchronised
from torch import nn

from vos_lightning.inference.adaptation import AdapterSettings
from vos_lightning.inference.adaptation.network import SequenceNetwork
from vos_lightning.models.unet import UNet
from vos_lightning.transforms.training_frames import TrainingFrames

GEMM = 2048


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--size", type=int)
    parser.add_argument("--width", type=float)
    parser.add_argument("--steps", type=int, default=5, help="that are timed")
    parser.add_argument("--frames", type=int, default=50, help="of a sequence")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument(
        "--clock", choices=("wall", "cpu"), default="wall", help="cpu: where others use the machine too"
    )
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    changes = {name: getattr(options, name) for name in ("size", "width") if getattr(options, name) is not None}
    settings = replace(AdapterSettings.preset(options.device), **changes)
    clock, device = clock_by_name(options.clock), torch.device(options.device)
    step, frame = measure(settings, device, options.steps, clock)
    macs = multiplications(settings)
    floor = 3 * 2 * macs * settings.batch_size / matrix_rate(device, clock)
    sequence = settings.steps * step + options.frames * frame
    print_table(
        f"{settings.size}×{settings.size}, width {settings.width}, batch {settings.batch_size}, {options.device}",
        ["", "seconds", "of the floor"],
        [
            ["floor of a step", f"{floor:.3f}", "1.0"],
            ["a step", f"{step:.3f}", f"{step / floor:.1f}"],
            ["a frame segmented", f"{frame:.3f}", ""],
            [f"a sequence of {options.frames} frames", f"{sequence:.0f}", ""],
        ],
    )


def measure(settings: AdapterSettings, device: torch.device, steps: int, clock) -> tuple[float, float]:  # noqa: ANN001
    """Seconds of a training step and of the segmentation of a frame."""
    image, labels = noise(settings.size)
    frames = TrainingFrames(settings.size, settings.batch_size)
    for _ in range(8):
        frames.add(image, labels)
    network = SequenceNetwork(settings, device)
    network.train(frames, 2)
    predict = synchronised(lambda: network.predict(image), device)
    predict()
    start = clock()
    network.train(frames, steps)
    middle = clock()
    for _ in range(steps):
        predict()
    return (middle - start) / steps, (clock() - middle) / steps


def noise(size: int) -> tuple[np.ndarray, np.ndarray]:
    """An image and the labels of one square."""
    labels = np.zeros((size, size), np.uint8)
    labels[size // 4 : size // 2, size // 4 : size // 2] = 1
    return np.random.default_rng(0).integers(0, 256, (size, size, 3)).astype(np.uint8), labels


def multiplications(settings: AdapterSettings) -> int:
    """Multiply-adds of the convolutions of one frame's forward pass."""
    counts: list[int] = []

    def count(module: nn.Module, _: object, output: torch.Tensor) -> None:
        assert isinstance(module, nn.Conv2d)
        counts.append(output.numel() * module.weight[0].numel())

    with torch.device("meta"):
        network, frame = UNet(2, settings.width).eval(), torch.empty(1, 3, settings.size, settings.size)
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(count)
    network(frame)
    return sum(counts)


def matrix_rate(device: torch.device, clock) -> float:  # noqa: ANN001
    """Flops per second of a bfloat16 matrix product, the best of five."""
    a, b = (torch.randn(GEMM, GEMM, device=device, dtype=torch.bfloat16) for _ in range(2))
    program, seconds = synchronised(lambda: a @ b, device), []
    program()
    for _ in range(5):
        start = clock()
        program()
        seconds.append(clock() - start)
    return 2 * GEMM**3 / min(seconds)


if __name__ == "__main__":
    main()
