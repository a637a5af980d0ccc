"""Reads damaged files in a process of its own, so that a crash or a hang of a decoder is seen, and by which file.

Run as a program, `python fuzzing.py READER FOLDER LIMIT`, it reads every file of a folder and prints a line for each.
"""

from __future__ import annotations

import faulthandler
import json
import resource
import subprocess
import sys
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

LIMIT = 20  # seconds of computing for one file, so that a busy machine is no hang
ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Outcome:
    """What became of damaged files: how many were read and how many refused, and what must not happen, by file."""

    counts: Counter[str]
    faults: list[str]


def read_all(reader: str, folder: Path, suffix: str, files: list[bytes]) -> Outcome:
    """Give files to a reader.

    Args:
        reader: "module:function", which takes a path.
        folder: where to write the files.
        suffix: of their names.
        files: what is in them.
    """
    paths = [folder / f"{index:04d}" / f"damaged{suffix}" for index in range(len(files))]
    for path, content in zip(paths, files, strict=True):
        path.parent.mkdir()
        path.write_bytes(content)
    outcome = Outcome(Counter(), [])
    while paths:
        command = [sys.executable, __file__, reader, str(LIMIT), *map(str, paths)]
        process = subprocess.run(
            command, capture_output=True, text=True, timeout=30 * LIMIT + LIMIT * len(paths), cwd=ROOT
        )
        lines = [json.loads(line) for line in process.stdout.splitlines() if line.startswith("{")]
        outcome.counts.update(line["outcome"] for line in lines)
        outcome.faults += [f"{line['path']}: {line['message']}" for line in lines if line["outcome"] == "fault"]
        if process.returncode and len(lines) < len(paths):
            outcome.faults.append(f"{paths[len(lines)]}: exit code {process.returncode}\n{process.stderr[-3000:]}")
        elif process.returncode:
            outcome.faults.append(f"exit code {process.returncode} after the last file\n{process.stderr[-3000:]}")
        paths = paths[len(lines) + 1 :]
    return outcome


def _judge(read: Callable[[Path], Any], path: Path) -> dict[str, str]:
    from vos_lightning.errors import VOSError

    try:
        read(path)
    except VOSError as error:
        message = str(error)
        told = str(path) in message and "\n" not in message.strip() and len(message) < 1000
        return {"outcome": "refused" if told else "fault", "path": str(path), "message": message}
    except BaseException:
        return {"outcome": "fault", "path": str(path), "message": traceback.format_exc()[-2000:]}
    return {"outcome": "read", "path": str(path), "message": ""}


def _main(reader: str, limit: str, *paths: str) -> None:
    sys.path.insert(0, str(ROOT))
    module, _, name = reader.partition(":")
    read = getattr(import_module(module), name)
    for path in paths:
        used = resource.getrusage(resource.RUSAGE_SELF)
        resource.setrlimit(resource.RLIMIT_CPU, (int(used.ru_utime + used.ru_stime + float(limit)), -1))
        print(json.dumps(_judge(read, Path(path))), flush=True)


if __name__ == "__main__":
    faulthandler.enable()
    _main(*sys.argv[1:])
