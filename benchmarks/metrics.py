"""Speed of the metrics: the mathematics against the official algorithm, the whole command against vos-benchmark.

    python benchmarks/metrics.py ../shared/data --vos-benchmark VENV/bin/python

`VENV` is an environment of its own with the package vos-benchmark (it brings another OpenCV). Masks are those of DAVIS;
DAVIS-2016 ground truth (0/255) and its predictions are merged to one object first, so that both programs read the same
folders the same way. Runs alternate, so that whatever else the machine does meets all of them; medians are printed.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import cv2
import numpy as np
from skimage.morphology import disk

from vos_lightning.functional.measures.frame_scores import score_frame
from vos_lightning.io.masks import read_mask, write_mask

OURS = (
    "import sys; from vos_lightning.evaluation.command import evaluate_command as run; "
    "run([sys.argv[1]], sys.argv[2], workers=2)"
)
# VmHWM, for the peak that getrusage tells of the process itself includes its parent's before exec.
PEAK = (
    "; from resource import RUSAGE_CHILDREN, getrusage; status = open('/proc/self/status').read(); "
    "print(status.split('VmHWM:')[1].split()[0], getrusage(RUSAGE_CHILDREN).ru_maxrss)"
)
THEIRS = (
    "import sys; from vos_benchmark.benchmark import benchmark as run; "
    "run([sys.argv[2]], [sys.argv[1]], num_processes=2)"
)


def official_boundary(mask: np.ndarray) -> np.ndarray:
    """Boundary as the official code finds it: whole shifted copies of the mask."""
    east, south, south_east = (np.zeros_like(mask) for _ in range(3))
    east[:, :-1] = mask[:, 1:]
    south[:-1] = mask[1:]
    south_east[:-1, :-1] = mask[1:, 1:]
    edges = (mask ^ east) | (mask ^ south) | (mask ^ south_east)
    edges[-1] = mask[-1] ^ east[-1]
    edges[:, -1] = mask[:, -1] ^ south[:, -1]
    edges[-1, -1] = False
    return edges


def official_scores(prediction: np.ndarray, target: np.ndarray) -> tuple[float, float]:
    """J and F the official way: sums over the frame, dilation of the full frame with a disk."""
    union = np.sum(prediction | target)
    J = np.sum(prediction & target) / union if union else 1.0
    kernel = disk(int(np.ceil(0.008 * np.linalg.norm(target.shape))))
    ours, theirs = official_boundary(prediction), official_boundary(target)
    near_ours = cv2.dilate(ours.astype(np.uint8), kernel)
    near_theirs = cv2.dilate(theirs.astype(np.uint8), kernel)
    if not ours.any() or not theirs.any():
        return float(J), float(ours.any() == theirs.any())
    precision, recall = np.sum(ours * near_theirs) / np.sum(ours), np.sum(theirs * near_ours) / np.sum(theirs)
    return float(J), float(2 * precision * recall / (precision + recall)) if precision + recall else 0.0


def mask_pairs(data: Path) -> Iterator[tuple[str, str, np.ndarray, np.ndarray]]:
    """All frames as (sequence, frame, prediction, target)."""
    evaluation = data / "evaluation"
    folders = [
        (evaluation / "multi_object" / "predictions", evaluation / "multi_object" / "ground_truth", False),
        (evaluation / "osvos", data / "DAVIS-2016-mini" / "Annotations" / "480p", True),
    ]
    for predictions, targets, merge in folders:
        for path in sorted(predictions.glob("*/*.png")):
            prediction, target = read_mask(path), read_mask(targets / path.parent.name / path.name)
            if merge:
                prediction, target = (prediction > 0).astype(np.uint8), (target > 0).astype(np.uint8)
            yield path.parent.name, path.stem, prediction, target


def compare_mathematics(data: Path, every: int, rounds: int) -> float:
    """Time per object-frame of both; checks that they agree."""
    frames = [(prediction, target) for _, _, prediction, target in mask_pairs(data)][::every]
    frames = [(prediction, target) for prediction, target in frames if target.any()]
    ids = [[int(one) for one in np.unique(target) if one] for _, target in frames]
    count = sum(map(len, ids))

    def ours() -> list[float]:
        scores = [score_frame(*frame, objects) for frame, objects in zip(frames, ids, strict=True)]
        return [value for score in scores for pair in zip(score.J, score.F, strict=True) for value in pair]

    def official() -> list[float]:
        return [
            value
            for (prediction, target), objects in zip(frames, ids, strict=True)
            for one in objects
            for value in official_scores(prediction == one, target == one)
        ]

    difference = np.abs(np.subtract(ours(), official())).max()
    times = alternate({"ours": ours, "official": official}, rounds, time.process_time)
    print(f"mathematics, {len(frames)} frames of 480p, {count} object-frames, time of one core")
    for name, seconds in times.items():
        print(f"  {name:<14} {1000 * seconds / count:.3f} ms per object-frame")
    ratio = times["official"] / times["ours"]
    print(f"  {ratio:.1f}x faster; largest difference {difference:.1e}")
    return ratio


def compare_commands(data: Path, other_python: Path, copies: int, rounds: int) -> float:
    """Wall time of both programs on the same folders, with two processes each, and of decoding alone."""
    with tempfile.TemporaryDirectory() as folder:
        predictions, annotations = Path(folder) / "predictions", Path(folder) / "annotations"
        frames = write_folders(data, predictions, annotations, copies)
        arguments = [str(predictions), str(annotations)]
        files = sorted(Path(folder).glob("*/*/*.png"))

        def decode() -> None:
            with ProcessPoolExecutor(2) as pool:
                list(pool.map(decode_only, files, chunksize=64))

        times = alternate(
            {
                "ours": lambda: run([sys.executable, "-c", OURS, *arguments]),
                "vos-benchmark": lambda: run_theirs(other_python, predictions, annotations),
                "decoding only": decode,
            },
            rounds,
        )
    print(f"whole command, {frames} frames of 480p, 2 processes")
    for name, seconds in times.items():
        print(f"  {name:<14} {seconds:.2f} s, {1000 * seconds / frames:.2f} ms per frame")
    ratio = times["vos-benchmark"] / times["ours"]
    print(f"  {ratio:.1f}x faster")
    return ratio


def decode_only(path: Path) -> None:
    """Reads a mask and keeps it to itself: sending it to another process would count too."""
    read_mask(path)


def measure_memory(data: Path, lengths: Sequence[int]) -> None:
    """Peak memory of the command and of its largest worker, for sequences of different lengths."""
    folder = data / "evaluation" / "multi_object"
    print("peak memory, one sequence with 5 objects, 2 processes")
    for length in lengths:
        with tempfile.TemporaryDirectory() as root:
            for name in ("predictions", "ground_truth"):
                files = sorted((folder / name / "gold-fish").glob("*.png"))
                sequence = Path(root) / name / "long"
                sequence.mkdir(parents=True)
                for index in range(length):
                    (sequence / f"{index:05d}.png").symlink_to(files[index % len(files)].resolve())
            shown = run([sys.executable, "-c", OURS + PEAK, f"{root}/predictions", f"{root}/ground_truth"])
        command, worker = (int(kilobytes) / 1024 for kilobytes in shown.splitlines()[-1].split())
        print(f"  {length:>5} frames: {command:.0f} MiB, {worker:.0f} MiB in a worker")


def write_folders(data: Path, predictions: Path, annotations: Path, copies: int) -> int:
    """Writes the masks once and links them `copies` times; returns the number of frames."""
    frames = 0
    for sequence, frame, prediction, target in mask_pairs(data):
        for root, mask in ((predictions, prediction), (annotations, target)):
            (root / f"{sequence}-0").mkdir(parents=True, exist_ok=True)
            write_mask(root / f"{sequence}-0" / f"{frame}.png", mask)
        frames += copies
    for root in (predictions, annotations):
        for original in list(root.iterdir()):
            for copy in range(1, copies):
                (root / f"{original.name[:-2]}-{copy}").symlink_to(original, target_is_directory=True)
    return frames


def alternate(
    programs: dict[str, Callable[[], object]], rounds: int, clock: Callable[[], float] = time.perf_counter
) -> dict[str, float]:
    """Median time of each, run in turn."""
    times: dict[str, list[float]] = {name: [] for name in programs}
    for _ in range(rounds):
        for name, program in programs.items():
            start = clock()
            program()
            times[name].append(clock() - start)
    return {name: statistics.median(values) for name, values in times.items()}


def run_theirs(python: Path, predictions: Path, annotations: Path) -> None:
    """Runs vos-benchmark; it skips folders that hold results already."""
    (predictions / "results.csv").unlink(missing_ok=True)
    run([str(python), "-c", THEIRS, str(predictions), str(annotations)])


def run(command: list[str]) -> str:
    """Runs a program quietly and returns what it said; shows that if it fails."""
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    if finished.returncode:
        sys.exit(finished.stdout + finished.stderr)
    return finished.stdout


def main() -> None:
    """Prints both comparisons."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder with evaluation/ and DAVIS-2016-mini/")
    parser.add_argument("--vos-benchmark", type=Path, metavar="PYTHON", help="the Python that has vos-benchmark")
    parser.add_argument("--lengths", type=int, nargs="*", help="measure the memory for sequences of these lengths")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--every", type=int, default=4, help="every how many frames the mathematics are timed on")
    parser.add_argument("--copies", type=int, default=4, help="how often the sequences are repeated for the commands")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    load = os.getloadavg()[0]
    if options.lengths:
        measure_memory(options.data, options.lengths)
    compare_mathematics(options.data, options.every, options.rounds)
    if options.vos_benchmark:
        compare_commands(options.data, options.vos_benchmark, options.copies, options.rounds)
    print(f"load of the machine: {load:.1f} before, {os.getloadavg()[0]:.1f} after")


if __name__ == "__main__":
    main()
