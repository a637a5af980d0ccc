"""What users do with files, one function for each kind of file."""

from __future__ import annotations

from pathlib import Path

import numpy as np


def play(path: Path) -> None:
    """Read a video from start to end, then some frames of it out of order, then as a training clip."""
    from vos_lightning.data.index import probe
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
    from vos_lightning.data.squares import read_reduced
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
    from vos_lightning.data.youtube_vos import read_meta
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
    from contextlib import redirect_stderr, redirect_stdout
    from io import StringIO

    from vos_lightning.cli import main
    from vos_lightning.errors import VOSError

    out, err = StringIO(), StringIO()
    try:
        with redirect_stdout(out), redirect_stderr(err):
            code: object = main(["fit", "--config", str(path), "--print_config"])
    except SystemExit as stop:
        code = stop.code
    if code not in (0, None):
        assert code == 2, code
        raise VOSError(err.getvalue().strip())


def stream(path: Path) -> None:
    """Read an epoch of clips out of a shard."""
    from vos_lightning.data.clips import SkippedClip
    from vos_lightning.data.sampling import ClipSampling
    from vos_lightning.data.shard_reading import ShardClips
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
