"""What the benchmarks share: medians of runs in turn, the machine's own rates, peak memory, tables."""

from __future__ import annotations

import multiprocessing
import os
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

MIB = 2**20
GEMM_SIZE = 1024
COPY_BYTES = 64 * MIB

Program = Callable[[], object]


def alternate(programs: dict[str, Program], rounds: int, clock: Callable[[], float]) -> dict[str, float]:
    """Median seconds of each, run in turn after one warm-up, so that whatever else the machine does meets all."""
    times: dict[str, list[float]] = {name: [] for name in programs}
    for program in programs.values():
        program()
    for _ in range(rounds):
        for name, program in programs.items():
            start = clock()
            program()
            times[name].append(clock() - start)
    return {name: statistics.median(values) for name, values in times.items()}


def machine(device: torch.device) -> dict[str, Program]:
    """A float32 matrix product and a copy, to be run among the programs; `rates` reads their times."""
    a, b, product = (torch.randn(GEMM_SIZE, GEMM_SIZE, device=device) for _ in range(3))
    source = torch.randn(COPY_BYTES // 4, device=device)
    target = torch.empty_like(source)
    return {
        "matrix product": synchronised(lambda: torch.mm(a, b, out=product), device),
        "copy": synchronised(lambda: target.copy_(source), device),
    }


def rates(times: dict[str, float]) -> tuple[float, float]:
    """Flops and bytes (read and written) per second from the times of `machine`'s programs."""
    return 2 * GEMM_SIZE**3 / times["matrix product"], 2 * COPY_BYTES / times["copy"]


def synchronised(program: Program, device: torch.device) -> Program:
    """The program and all that it started on the device."""
    if device.type != "cuda":
        return program

    def run() -> None:
        program()
        torch.cuda.synchronize(device)

    return run


def peak_extra_memory(prepare: Callable[..., Program], *arguments: Any) -> float:  # noqa: ANN401
    """MiB that a program needs at its peak beyond what it was prepared with; measured in a process of its own.

    Args:
        prepare: a function of a module, makes the program.
        arguments: of `prepare`.
    """
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_report_peak, args=(sender, torch.get_num_threads(), prepare, arguments))
    process.start()
    process.join()
    if process.exitcode:
        raise RuntimeError(f"measuring the memory failed with exit code {process.exitcode}")
    return float(receiver.recv())


def _report_peak(sender: Any, threads: int, prepare: Callable[..., Program], arguments: Sequence[Any]) -> None:  # noqa: ANN401
    torch.set_num_threads(threads)
    program = prepare(*arguments)
    before = resident()
    reset_peak()
    program()
    sender.send(max(0.0, peak_resident() - before))


def resident() -> float:
    """Resident memory of this process now, in MiB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / MIB


def peak_resident() -> float:
    """Largest resident memory of this process so far, in MiB (`ru_maxrss` would count the parent's)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024


def reset_peak() -> None:
    """Let `peak_resident` start anew."""
    Path("/proc/self/clear_refs").write_text("5")


def clock_by_name(name: str) -> Callable[[], float]:
    """`wall`, or `cpu`: this process' own time, which other work on the machine disturbs less."""
    return {"wall": time.perf_counter, "cpu": time.process_time}[name]


def print_table(title: str, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """A table in Markdown, columns aligned."""
    cells = [[str(cell) for cell in row] for row in (header, *rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(header))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in cells
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    print(f"\n{title}\n\n" + "\n".join(lines))
