"""Local attention: ours, the two usual ways in plain PyTorch, and what the hardware allows.

    python benchmarks/attention.py [--quick] [--threads 1] [--clock cpu] [--device cuda]

The alternatives: `unfold` copies each query's window of keys and takes a softmax over it; `dense` compares each query
with all positions of all references, masks what lies outside of the window, and takes a softmax or the k best (as
videowalk does). Both run in chunks of query rows; they are timed on a few rows in the middle of the frame, and scaled.

The floor is the larger of two: the windows' flops (no more, no less; 3.5 times that with the backward pass, in which
only the values need no gradient) at the rate of a large matrix product, and inputs and outputs at the rate of a copy,
both measured between the other runs. Peak memory is that beyond the inputs, each in a process of its own; for the
alternatives' backward pass, which keeps all rows, it is scaled like their time.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from _measure import (
    Program,
    alternate,
    clock_by_name,
    machine,
    peak_extra_memory,
    print_table,
    rates,
    synchronised,
)
from torch import Tensor

from vos_lightning.functional.attention import local_attention

TEMPERATURE = 0.05
Inputs = tuple[Tensor, Tensor, Tensor]


@dataclass(frozen=True)
class Case:
    """One setting to measure."""

    name: str
    batch: int
    references: int
    height: int
    width: int
    radius: int
    topk: int | None = None
    train: bool = False
    features: int = 64
    channels: int = 3

    def inputs(self, device: torch.device) -> Inputs:
        """Random features of length 1 and values."""
        frames = (self.batch, self.references)
        size = (self.height, self.width)
        generator = torch.Generator().manual_seed(0)
        query = F.normalize(torch.randn(self.batch, self.features, *size, generator=generator), dim=1)
        keys = F.normalize(torch.randn(*frames, self.features, *size, generator=generator), dim=2)
        values = torch.randn(*frames, self.channels, *size, generator=generator).to(device)
        return query.to(device).requires_grad_(self.train), keys.to(device).requires_grad_(self.train), values

    @property
    def flops(self) -> int:
        """Of the windows, for similarities and readout."""
        window = (2 * self.radius + 1) ** 2 * self.references
        forward = 2 * self.batch * self.height * self.width * window * (self.features + self.channels)
        return forward * 7 // 2 if self.train else forward

    @property
    def bytes(self) -> int:
        """Of inputs and outputs in float32, gradients likewise."""
        per_position = self.features * (self.references + 1) + self.channels * (self.references + 1)
        return 4 * self.batch * self.height * self.width * per_position * (3 if self.train else 1)


CASES = [
    Case("480p features, softmax", 1, 5, 120, 214, 12),
    Case("480p features, top-10", 1, 5, 120, 214, 12, topk=10),
    Case("480p features, softmax, with backward", 1, 5, 120, 214, 12, train=True),
    Case("training, R 1", 4, 1, 96, 96, 12, train=True),
    Case("training, R 4", 4, 4, 96, 96, 12, train=True),
    Case("small training", 8, 1, 32, 32, 6, train=True),
]


def rows_in_the_middle(case: Case, count: int) -> slice:
    """The query rows that an alternative is timed on."""
    start = (case.height - count) // 2
    return slice(start, start + count)


def normalise(similarity: Tensor, topk: int | None) -> Tensor:
    """Affinities over the last axis."""
    if topk is None:
        return similarity.softmax(-1)
    best = similarity.topk(topk)
    return torch.zeros_like(similarity).scatter(-1, best.indices, best.values.softmax(-1))


def unfold_attention(inputs: Inputs, case: Case, rows: slice) -> Tensor:
    """The readout of some query rows, (B, C, rows · W), with every window copied."""
    query, keys, values = inputs
    span, radius = 2 * case.radius + 1, case.radius

    def windows(frames: Tensor) -> Tensor:  # (B, R, C, H, W) -> (B, queries, R · window, C)
        padded = F.pad(frames.flatten(0, 1), (radius,) * 4)[:, :, rows.start : rows.stop + 2 * radius]
        unfolded: Tensor = F.unfold(padded, span).unflatten(1, (-1, span * span)).unflatten(0, (case.batch, -1))
        return unfolded.permute(0, 4, 1, 3, 2).flatten(2, 3)

    inside = windows(torch.ones_like(values[:1, :, :1]).expand(case.batch, -1, -1, -1, -1))[..., 0] > 0
    q = query[:, :, rows].flatten(2).mT / TEMPERATURE
    similarity = torch.einsum("bqc,bqnc->bqn", q, windows(keys)).masked_fill(~inside, -torch.inf)
    return torch.einsum("bqn,bqnc->bcq", normalise(similarity, case.topk), windows(values))


def dense_attention(inputs: Inputs, case: Case, rows: slice) -> Tensor:
    """The readout of some query rows, (B, C, rows · W), from similarities with all positions."""
    query, keys, values = inputs
    q = query[:, :, rows].flatten(2).mT / TEMPERATURE
    k, v = (frames.transpose(1, 2).flatten(2) for frames in (keys, values))
    y = torch.arange(case.height, device=q.device)
    x = torch.arange(case.width, device=q.device)
    near_y = (y[rows, None] - y).abs() <= case.radius
    near_x = (x[:, None] - x).abs() <= case.radius
    near = (near_y[:, None, :, None] & near_x[None, :, None, :]).flatten(2).flatten(0, 1)
    similarity: Tensor = (q @ k).masked_fill(~near.repeat(1, case.references), -torch.inf)
    return torch.einsum("bqn,bcn->bcq", normalise(similarity, case.topk), v)


def our_attention(inputs: Inputs, case: Case, _: slice) -> Tensor:
    """The whole readout."""
    return local_attention(*inputs, case.radius, topk=case.topk, temperature=TEMPERATURE)


WAYS: dict[str, Callable[[Inputs, Case, slice], Tensor]] = {
    "ours": our_attention,
    "unfold": unfold_attention,
    "dense": dense_attention,
}


def prepare(way: str, case: Case, rows: int, device: str) -> Program:
    """A way to compute a case, as a program without arguments."""
    inputs = case.inputs(torch.device(device))
    middle = rows_in_the_middle(case, rows)

    def run() -> None:
        with torch.set_grad_enabled(case.train):
            readout = WAYS[way](inputs, case, middle)
        if case.train:
            torch.autograd.grad(readout.sum(), inputs[:2])

    return synchronised(run, torch.device(device))


def check(case: Case, rows: int, device: torch.device) -> None:
    """All ways agree."""
    inputs = case.inputs(device)
    middle = rows_in_the_middle(case, rows)
    with torch.no_grad():
        ours = our_attention(inputs, case, middle)[:, :, middle].flatten(2)
        for way in ("unfold", "dense"):
            torch.testing.assert_close(WAYS[way](inputs, case, middle), ours, rtol=1e-3, atol=1e-4)


def measure(case: Case, options: argparse.Namespace) -> None:
    """Print the table of one case."""
    device = torch.device(options.device)
    check(case, options.rows, device)
    programs = {way: prepare(way, case, options.rows, options.device) for way in WAYS}
    times = alternate({**machine(device), **programs}, options.rounds, clock_by_name(options.clock))
    flops, copied = rates(times)
    floor = max(case.flops / flops, case.bytes / copied)
    table = [["floor", f"{floor * 1e3:.0f}", "1", "", ""]]
    ours = times["ours"]
    for way in WAYS:
        scale = 1 if way == "ours" else case.height / options.rows
        memory = ""
        if device.type == "cpu" and not options.no_memory:
            peak = peak_extra_memory(prepare, way, case, options.rows, options.device)
            memory = f"{peak * (scale if case.train else 1):.0f}"
        taken = times[way] * scale
        table.append([way, f"{taken * 1e3:.0f}", f"{taken / floor:.1f}", f"{taken / ours:.1f}", memory])
    title = f"{case.name}: {flops / 1e9:.0f} Gflop/s, {copied / 1e9:.1f} GB/s"
    print_table(title, ["", "ms", "times the floor", "times ours", "peak extra MiB"], table)


def main() -> None:
    """Prints one table per case."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="the first two cases, two rounds")
    parser.add_argument("--cases", type=int, nargs="*", help=f"which, of 0 to {len(CASES) - 1}")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rows", type=int, default=1, help="query rows that the alternatives are timed on")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall", help="cpu only with --threads 1")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--no-memory", action="store_true", help="times only")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    chosen = options.cases if options.cases is not None else range(2 if options.quick else len(CASES))
    options.rounds = 2 if options.quick else options.rounds
    for index in chosen:
        measure(CASES[index], options)


if __name__ == "__main__":
    main()
