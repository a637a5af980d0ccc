"""What users do with files, one function for each kind of file."""

from __future__ import annotations

import os
import sys
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
_FORBIDDEN = {
    "os.system", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "subprocess.Popen", "socket.connect",
    "os.remove", "os.rename", "os.mkdir", "shutil.rmtree",
}  # fmt: skip
_deeds: list[str] = []
_is_watched = False


def play(path: Path) -> None:
    """Read a video from start to end, then some frames of it out of order, then as a training clip."""
    from vos_lightning.data.layouts.index import probe
    from vos_lightning.io.frames import open_frames

    video = open_frames(path)
    frames = sum(1 for _ in video)
    assert frames == len(video) == len(video.names)
    last = video[-1]
    assert last.dtype == np.uint8
    video.read([len(video) - 1, 0, len(video) // 2], short_side=32)
    assert video.size
    assert video.fps > 0
    assert probe(str(path)).num_frames == frames


def look(path: Path) -> None:
    """Read an image as a frame, at full and at reduced size."""
    from vos_lightning.data.clips.reading import read_reduced
    from vos_lightning.io.frame_folder import FrameFolder, read_frame

    assert read_frame(path).ndim == 3
    assert read_frame(path, short_side=16).ndim == 3
    assert read_reduced(path, 16).ndim == 3
    assert len(FrameFolder(path.parent).size) == 2


def read_ids(path: Path) -> None:
    """Read a mask and its palette."""
    from vos_lightning.io.masks import read_mask, read_palette

    assert read_mask(path).dtype == np.uint8
    read_palette(path)


def read_lists(path: Path) -> None:
    """Read a meta.json as the dataset and as the evaluation do."""
    from vos_lightning.data.layouts.youtube_vos import read_meta
    from vos_lightning.evaluation.metadata import read_metadata

    first = None
    for read in (read_metadata, read_meta):
        try:
            read(path)
        except ValueError as error:
            first = first or error
    if first is not None:
        raise first


def read_weights(path: Path) -> None:
    """Load weights."""
    from vos_lightning.inference.weights import load_tracker

    load_tracker(path)


def configure(path: Path) -> None:
    """Parse a config as `fit` does, up to where classes would be made."""
    _parse_configs(path, path)


def configure_on_top(path: Path) -> None:
    """Parse a config that changes another."""
    _parse_configs(path, EXAMPLES / "mast_videos.yaml", path)


def _parse_configs(path: Path, *configs: Path) -> None:
    """As the command would, in this process: nothing is started, connected to or written."""
    from vos_lightning.errors import VOSError

    _watch_deeds()
    _deeds.clear()
    code, message = _fit(*configs, watched=True)
    assert _deeds == []
    assert code in (0, None, 2), (code, message)
    if code == 2:
        assert message.startswith("vos-lightning: error: "), message
        raise VOSError(f"{path}: {message}")


def _fit(*configs: Path, watched: bool) -> tuple[object, str]:
    """Exit code and stderr of `fit` that only prints its config."""
    from contextlib import redirect_stderr, redirect_stdout
    from io import StringIO
    from unittest.mock import patch

    from vos_lightning.cli import main

    global _is_watched
    arguments = ["fit", *(f"--config={config}" for config in configs), "--print_config"]
    out, err = StringIO(), StringIO()
    with patch.object(sys, "argv", ["vos-lightning", *arguments]), redirect_stdout(out), redirect_stderr(err):
        _is_watched = watched
        try:
            code: object = main()
        except SystemExit as stop:
            code = stop.code
        finally:
            _is_watched = False
    return code, err.getvalue().strip()


@cache
def _watch_deeds() -> None:
    """From now on prevent and note what reading a config has no business to do."""
    _fit(EXAMPLES / "mast_videos.yaml", watched=False)  # imports, which may do as they like
    sys.addaudithook(_audit)


def _audit(event: str, details: tuple[Any, ...]) -> None:
    if not _is_watched:
        return
    writes = event == "open" and isinstance(details[2], int) and details[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
    if event in _FORBIDDEN or (writes and "__pycache__" not in str(details[0]) and details[0] != os.devnull):
        _deeds.append(f"{event} {details}")
        raise PermissionError(f"{event} {details}")


def trespass(path: Path) -> None:
    """Do what the file says while it is watched."""
    import socket
    import subprocess

    global _is_watched
    _watch_deeds()
    _deeds.clear()
    _is_watched = True
    try:
        match path.read_text():
            case "write":
                (path.parents[1] / "pwned").write_text("")
            case "process":
                subprocess.run(["true"], check=True)
            case "connect":
                socket.create_connection(("127.0.0.1", 9))
    finally:
        _is_watched = False
    assert _deeds == []


def stream(path: Path) -> None:
    """Read an epoch of clips out of a shard."""
    from vos_lightning.data.clips.dataset import SkippedClip
    from vos_lightning.data.clips.sampling import ClipSampling
    from vos_lightning.data.shards.clips import ShardClips
    from vos_lightning.errors import VOSError

    clips = ShardClips({str(path): 2}, ClipSampling(2), size=32, batch_size=2)
    skipped: list[SkippedClip] = []
    for batch in clips:
        skipped += batch["skipped"]
        assert batch["frames"].shape[1:] == (2, 3, 32, 32)
    if skipped:
        raise VOSError(f"{path}: {len(skipped)} left out")


def misbehave(path: Path) -> None:
    """Do what the file says."""
    import ctypes

    from vos_lightning.errors import VOSError

    match path.read_text():
        case "crash":
            ctypes.string_at(0)
        case "raise":
            raise KeyError("a traceback")
        case "nameless":
            raise VOSError("something is wrong")
        case "lines":
            raise VOSError(f"{path}: one\ntwo")
