"""Operations that launch work, and the bytes that they move: per frame, and per training step. Needs no GPU.

    python benchmarks/kernels.py [--quick] [--objects 1 8] [--size 480 854]

Everything that PyTorch dispatches is counted but views and allocations: on a GPU each is a launch or a few. The work is
done on the CPU as GPUs would be given it. Bytes are those of all inputs and outputs of an operation; the time that they
take is theirs at a GPU's published bandwidth, and a bound from below for these operations as they are.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any
from unittest import mock

import torch
from _measure import Program, peak_extra_memory, print_table
from propagation import first_mask
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from vos_lightning import MAST
from vos_lightning.functional import attention
from vos_lightning.functional.attention import batched
from vos_lightning.inference.tracking.propagator import Propagator
from vos_lightning.inference.weights import load_tracker

# Bytes per second, published.
BANDWIDTH = {"H100": 3.35e12, "H200": 4.8e12}
ALLOCATIONS = (
    "empty",
    "new_empty",
    "empty_strided",
    "empty_like",
    "new_empty_strided",
    "lift_fresh",
    "set_",
    "resize_",
)


class Counter(TorchDispatchMode):
    """Counts while it is active.

    Attributes:
        launches: operations that do work.
        bytes: that these read and write.
    """

    def __init__(self) -> None:
        super().__init__()
        self.launches = 0
        self.bytes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:  # noqa: ANN401
        """Run an operation and count it."""
        result = func(*args, **(kwargs or {}))
        inputs, outputs = tensors((args, kwargs)), tensors(result)
        if does_work(func, inputs, outputs):
            self.launches += 1
            self.bytes += sum(map(size, [*inputs, *outputs]))
        return result


def tensors(values: object) -> list[Tensor]:
    """All that are in arguments or results."""
    return [value for value in tree_leaves(values) if isinstance(value, Tensor)]


def size(tensor: Tensor) -> int:
    """Bytes, of expanded or overlapping views those that there are."""
    return min(tensor.numel() * tensor.itemsize, tensor.untyped_storage().nbytes())


def does_work(func: Any, inputs: Iterable[Tensor], outputs: Iterable[Tensor]) -> bool:  # noqa: ANN401
    """Neither a view nor an allocation."""
    if func.overloadpacket.__name__ in ALLOCATIONS:
        return False
    writes = any(
        argument.alias_info is not None and argument.alias_info.is_write for argument in func._schema.arguments
    )
    seen = {tensor.untyped_storage().data_ptr() for tensor in inputs}
    reads_back = func.overloadpacket.__name__ == "_local_scalar_dense"
    return writes or reads_back or any(tensor.untyped_storage().data_ptr() not in seen for tensor in outputs)


@contextmanager
def as_on_gpus(backend: str) -> Iterator[None]:
    """Local attention in its form for GPUs, by tiles or batched."""
    with ExitStack() as stack:
        stack.enter_context(mock.patch.object(batched, "on_cpu", return_value=False))
        if backend == "tiled":
            stack.enter_context(mock.patch.object(attention, "_pick", return_value="tiled"))
        yield


def warm(objects: int, options: argparse.Namespace, whole: bool = False) -> tuple[Propagator, Tensor]:
    """A propagator whose memory is full, and a frame; whole frames are not scaled down for the network."""
    tracker = load_tracker("default").prepared(torch.device("cpu"), torch.bfloat16)
    height, width = options.size
    settings = replace(tracker.settings, max_size=None) if whole else tracker.settings
    propagator = tracker.propagator(settings)
    frames = torch.randint(0, 256, (8, 3, height, width), dtype=torch.uint8)
    for t in range(settings.horizon + 1):
        propagator.step(frames[t % 8], first_mask(height, width, objects) if t == 0 else None)
    return propagator, frames[0]


def frame_row(objects: int, backend: str, options: argparse.Namespace) -> list[str]:
    """One frame of tracking, whole: from RGB to ids."""
    propagator, frame = warm(objects, options)
    with as_on_gpus(backend), Counter() as counter:
        propagator.step(frame)
    return row(f"frame, K {objects}, {backend}", counter)


def step_row(name: str, with_attention: bool) -> list[str]:
    """One step of training as `examples/mast_videos.yaml` sets it."""
    model = MAST(width=0.5, radius=6)
    model.log = lambda *_, **__: None  # type: ignore[method-assign]
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)
    batch = {"frames": torch.rand(8, 2, 3, 128, 128), "seed": torch.arange(8)}

    def step() -> None:
        with torch.autocast("cpu", torch.bfloat16):
            loss = model.training_step(batch, 0)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    def stand_in(query: Tensor, keys: Tensor, values: Tensor, *_: object, **__: object) -> Tensor:
        return (query * keys[:, 0]).mean(1, keepdim=True) * values[:, 0]

    with ExitStack() as stack:
        if not with_attention:
            path = "vos_lightning.models.reconstruction.local_attention"
            stack.enter_context(mock.patch(path, stand_in))
        step()
        counter = stack.enter_context(Counter())
        step()
    return row(name, counter)


def row(name: str, counter: Counter) -> list[str]:
    """Of the table."""
    times = [f"{counter.bytes / bandwidth * 1e3:.2f}" for bandwidth in BANDWIDTH.values()]
    return [name, str(counter.launches), f"{counter.bytes / 1e9:.2f}", *times]


def prepare_whole_frame(options: argparse.Namespace) -> Program:
    """One frame at its full size as on a GPU, for its memory."""
    propagator, frame = warm(1, options, whole=True)

    def run() -> None:
        with as_on_gpus("batched"):
            propagator.step(frame)

    return run


def main() -> None:
    """Prints the table, and the memory."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="240p, one object, nothing of training and memory")
    parser.add_argument("--objects", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--size", type=int, nargs=2, default=(480, 854), metavar=("HEIGHT", "WIDTH"))
    options = parser.parse_args()
    if options.quick:
        options.size, options.objects = (240, 426), [1]
    rows = [frame_row(k, backend, options) for backend in ("tiled", "batched") for k in options.objects]
    if not options.quick:
        rows.append(step_row("training step", True))
        rows.append(step_row("training step but its attention", False))
    height, width = options.size
    title = f"{width}×{height}, default weights, bfloat16"
    print_table(title, ["", "launches", "GB", *(f"ms at an {name}'s bandwidth" for name in BANDWIDTH)], rows)
    if not options.quick:
        peak = peak_extra_memory(prepare_whole_frame, options)
        print(f"\nA frame of {width}×{height} at its full size takes {peak:.0f} MiB beyond what is kept.")


if __name__ == "__main__":
    main()
