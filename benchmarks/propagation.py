r"""Tracking: milliseconds per frame for few objects and for many, and where they go.

    python benchmarks/propagation.py [--quick] [--size 480 854] [--objects 1 8 32 254] [--threads 1] [--clock cpu] \
        [--device cuda --bf16]

Times the tracker as it is used: weights, size limit and readout are those of `--weights`. The video is noise, which is
as good as any. What is not network and attention is conversion to Lab, drawing masks and the memory.
"""

from __future__ import annotations

import argparse
from dataclasses import replace

import torch
from _measure import Program, alternate, clock_by_name, machine, print_table, rates, synchronised

from vos_lightning.functional.attention import local_attention
from vos_lightning.inference.tracking.trackers import ReconstructionTracker
from vos_lightning.inference.weights import load_tracker

# As many recent references as by default, but near: the memory is soon full.
OFFSETS = (1, 2, 3, 4)


def first_mask(height: int, width: int, objects: int) -> torch.Tensor:
    """As many vertical bars as objects."""
    columns = torch.arange(width) * (2 * objects + 1) // width
    ids = torch.where(columns % 2 == 1, columns // 2 + 1, 0)
    return ids.to(torch.uint8).expand(height, width).contiguous()


def tracking(tracker: ReconstructionTracker, objects: int, options: argparse.Namespace) -> Program:
    """One more frame of a video whose memory is full."""
    height, width = options.size
    device = torch.device(options.device)
    frames = torch.randint(0, 256, (8, 3, height, width), dtype=torch.uint8, device=device)
    propagator = tracker.propagator()
    count = 0

    def step() -> None:
        nonlocal count
        mask = first_mask(height, width, objects).to(device) if count == 0 else None
        propagator.step(frames[count % len(frames)], mask)
        count += 1

    for _ in range(tracker.settings.horizon + 1):
        step()
    return synchronised(step, device)


def parts(tracker: ReconstructionTracker, options: argparse.Namespace) -> dict[str, Program]:
    """The network alone, and the attention alone for each number of objects."""
    device, settings = torch.device(options.device), tracker.settings
    encoder = tracker.propagator().encoder
    scale = min(1.0, (settings.max_size or 10**9) / max(options.size))
    height, width = (-(-round(length * scale) // 4) for length in options.size)
    lab = torch.rand(1, 3, 4 * height, 4 * width, device=device)
    references = 1 + len(settings.offsets)
    channels = encoder(lab[..., :32, :32]).shape[1]
    features = torch.nn.functional.normalize(torch.randn(references + 1, channels, height, width, device=device), dim=1)

    @torch.no_grad()
    def encode() -> None:
        encoder(lab)

    def attend(objects: int) -> Program:
        values = torch.rand(1, references, objects + 1, height, width, device=device)
        arguments = features[:1], features[None, 1:], values, settings.radius
        options = {"mutual": settings.mutual_weight, "topk": settings.topk, "temperature": tracker.temperature}
        return torch.no_grad()(lambda: local_attention(*arguments, **options))

    features = features.to(tracker.precision)
    attending = {f"attention, K {k}": synchronised(attend(k), device) for k in options.objects}
    return {"network": synchronised(encode, device), **attending}


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="240p, two rounds")
    parser.add_argument("--size", type=int, nargs=2, default=(480, 854), metavar=("HEIGHT", "WIDTH"))
    parser.add_argument("--objects", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--weights", default="default", help="'default', 'lab', or a file of MAST")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall", help="cpu only with --threads 1")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--bf16", action="store_true", help="the network and similarities in bfloat16")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.quick:
        options.size, options.rounds = (240, 426), 2
    device = torch.device(options.device)
    tracker = load_tracker(options.weights)
    assert isinstance(tracker, ReconstructionTracker), "weights of MAST"
    tracker = replace(tracker, settings=replace(tracker.settings, offsets=OFFSETS))
    tracker = tracker.prepared(device, torch.bfloat16 if options.bf16 else torch.float32)
    tracked = {f"frame, K {k}": tracking(tracker, k, options) for k in options.objects}
    programs = {**machine(device), **parts(tracker, options), **tracked}
    times = alternate(programs, options.rounds, clock_by_name(options.clock))
    flops, copied = rates(times)
    frame = times[f"frame, K {options.objects[0]}"]
    rows = [
        [name, f"{times[name] * 1e3:.1f}", f"{times[name] / frame:.0%}"]
        for name in programs
        if name not in machine(device)
    ]
    height, width = options.size
    title = (
        f"{width}×{height}, {options.weights}, {tracker.settings}: {flops / 1e9:.0f} Gflop/s, {copied / 1e9:.1f} GB/s"
    )
    print_table(title, ["", "ms", "of a frame with the fewest objects"], rows)
    print(f"\n{1 / frame:.2f} frames per second")


if __name__ == "__main__":
    main()
