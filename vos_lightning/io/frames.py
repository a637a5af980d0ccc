"""Frames of a folder or a video file, whichever a path is."""

from __future__ import annotations

from pathlib import Path

from vos_lightning.errors import VOSError
from vos_lightning.io.frame_folder import IMAGE_SUFFIXES, FrameFolder
from vos_lightning.io.frame_source import Frame, FrameSource
from vos_lightning.io.video import VideoFile

__all__ = ["IMAGE_SUFFIXES", "Frame", "FrameFolder", "FrameSource", "VideoFile", "open_frames"]


def open_frames(path: str | Path) -> FrameSource:
    """Open a folder of images or a video file.

    A video file isn't opened before its frames, or their number, are asked for.

    Raises:
        VOSError: There is nothing at this path, no image in the folder, or a single image instead of a video.
    """
    path = Path(path)
    if path.is_dir():
        return FrameFolder(path)
    if not path.exists():
        raise VOSError(f"{path}: no such file or folder; give a video file or a folder of frames")
    if path.suffix.lower() in IMAGE_SUFFIXES:
        raise VOSError(f"{path}: this is one image; give the folder of all frames, or a video file")
    return VideoFile(path)
