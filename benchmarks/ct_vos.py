"""CT-VOS: time and memory of a training step beside the flops floor, and frames per second of inference.

    python benchmarks/ct_vos.py [--quick] [--paper] [--threads 1] [--clock cpu] [--device cuda] [--bf16]

The step is that of `examples/ct_vos_videos.yaml`; --paper takes `ct_vos_youtube_vos.yaml`, with --batch clips. The
floor is what convolutions and products need, forward and backward, counted by PyTorch, at the rate of a large float32
matrix product measured between the runs: half precision may beat it. Inference is 480p with a full memory, the
network's weights random: they don't change its speed.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import torch
import yaml
from _measure import Program, alternate, clock_by_name, machine, peak_extra_memory, print_table, rates, synchronised
from torch.utils.flop_counter import FlopCounterMode

from vos_lightning import CTVOS
from vos_lightning.transforms.zoom import zoom_views

EXAMPLES = Path(__file__).parent.parent / "examples"
OBJECTS = (1, 5, 20)


def training(config: str, batch: int | None, device_name: str, bf16: bool) -> Program:
    """One step: forward, backward, Adam."""
    settings = yaml.safe_load((EXAMPLES / config).read_text(encoding="utf-8"))
    device, data = torch.device(device_name), settings["data"]["init_args"]
    model = CTVOS(**settings["model"]["init_args"]).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    model.log = model.log_dict = lambda *_, **__: None
    optimizer = torch.optim.Adam(model.parameters(), 1e-4)
    size = (batch or data["batch_size"], data["clip_length"], 3, data["crop_size"], data["crop_size"])
    clips: dict[str, Any] = {"frames": torch.rand(size, device=device), "seed": torch.arange(size[0])}
    if data.get("zoom_levels"):
        clips["zoom_views"], _ = zoom_views(clips["frames"], clips["seed"], data["zoom_levels"])

    def step() -> None:
        optimizer.zero_grad()
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            loss = model.training_step(clips, 0)
        loss.backward()
        optimizer.step()

    return synchronised(step, device)


def tracking(config: str, objects: int, size: tuple[int, int], device_name: str, bf16: bool) -> Program:
    """One more frame of a video whose memory is full."""
    settings = yaml.safe_load((EXAMPLES / config).read_text(encoding="utf-8"))
    device = torch.device(device_name)
    model = CTVOS(**settings["model"]["init_args"]).to(device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
    propagator = model.tracker().propagator()
    columns = torch.arange(size[1], device=device) * (2 * objects + 1) // size[1]
    mask = torch.where(columns % 2 == 1, columns // 2 + 1, 0).expand(size)
    frame = torch.randint(0, 256, (3, *size), dtype=torch.uint8, device=device)
    given: list[torch.Tensor] = [mask]

    def step() -> None:
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            propagator.step(frame, given.pop() if given else None)

    for _ in range(propagator.settings.horizon + 1):
        step()
    return synchronised(step, device)


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="240p, two rounds")
    parser.add_argument("--paper", action="store_true", help="the paper's model and clips")
    parser.add_argument("--batch", type=int, help="clips; default: the config's")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall", help="cpu only with --threads 1")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--bf16", action="store_true", help="the network under autocast")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    rounds, size = (2, (240, 426)) if options.quick else (options.rounds, (480, 854))
    config = "ct_vos_youtube_vos.yaml" if options.paper else "ct_vos_videos.yaml"
    arguments = (config, options.batch, options.device, options.bf16)
    step = training(*arguments)
    with FlopCounterMode(display=False) as counter:
        step()
    frames = {f"frame, K {k}": tracking(config, k, size, options.device, options.bf16) for k in OBJECTS}
    programs = {**machine(torch.device(options.device)), "step": step, **frames}
    times = alternate(programs, rounds, clock_by_name(options.clock))
    flops, _ = rates(times)
    floor = counter.get_total_flops() / flops
    memory = peak_extra_memory(training, *arguments) if options.device == "cpu" else device_peak(step)
    row = [f"{times['step']:.3f}", f"{floor:.3f}", f"{times['step'] / floor:.2f}", f"{memory:.0f}"]
    header = ["s per step", "floor, s", "ratio", "peak MiB beyond model and clips"]
    counted = f"{counter.get_total_flops() / 1e9:.0f} Gflop at {flops / 1e9:.0f} Gflop/s"
    print_table(f"training step, {config}: {counted}", header, [row])
    rows = [[k, f"{times[f'frame, K {k}'] * 1e3:.0f}", f"{1 / times[f'frame, K {k}']:.2f}"] for k in OBJECTS]
    print_table(f"inference, {size[1]}×{size[0]}", ["objects", "ms per frame", "frames per second"], rows)


def device_peak(step: Program) -> float:
    """MiB that a step needs on a GPU beyond what is there before it."""
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    step()
    return (torch.cuda.max_memory_allocated() - before) / 2**20


if __name__ == "__main__":
    main()
