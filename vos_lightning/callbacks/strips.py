"""A few frames of one sequence and a short video of it, with masks drawn in, gathered while the masks come."""

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from vos_lightning.callbacks.run_folder import Picture
from vos_lightning.io.overlay import overlay
from vos_lightning.io.writers import VideoWriter


class SequenceStrip:
    """Pictures of one evaluation sequence; holds a few small frames, never the video.

    Args:
        item: the sequence, see `vos_lightning.data`.
        frames: how many, evenly spread.
        video_frames: the most that go into the video.
        size: longer sides are scaled down to this, in pixels.
        video: where the video goes; None for no video.
    """

    def __init__(self, item: dict[str, Any], frames: int, video_frames: int, size: int, video: Path | None) -> None:
        self.columns: dict[int, tuple[Picture, dict[str, Picture]]] = {}
        self._targets = item.get("targets")
        # the first mask is given: the prediction begins behind it
        self._wanted = set(np.linspace(min(1, len(item["frames"]) - 1), len(item["frames"]) - 1, frames).round())
        self._video_frames, self._size = video_frames, size
        self._path, self._fps = video, float(item["frames"].fps)
        self._writer: VideoWriter | None = None

    def add(self, t: int, frame: Picture, ids: Picture) -> None:
        """One frame (H, W, 3) and its mask (H, W), in order."""
        in_video = self._path is not None and t < self._video_frames
        if not in_video and t not in self._wanted:
            return
        small, mask = self._fit(frame, Image.Resampling.BILINEAR), self._fit(ids, Image.Resampling.NEAREST)
        if self._path is not None and in_video:
            if self._writer is None:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                self._writer = VideoWriter(self._path, self._fps)
            self._writer.write(overlay(small, mask))
        if t in self._wanted:
            target = None if self._targets is None else self._targets[t]
            truth = {} if target is None else {"ground truth": self._fit(target, Image.Resampling.NEAREST)}
            self.columns[t] = small, {**truth, "prediction": mask}

    def picture(self) -> Picture:
        """One column per frame: ground truth, where there is one, above the prediction."""
        rows = sorted({name for _, masks in self.columns.values() for name in masks})
        columns = [
            np.concatenate([overlay(frame, masks[name]) if name in masks else frame for name in rows])
            for frame, masks in self.columns.values()
        ]
        return np.concatenate(columns, axis=1)

    def caption(self) -> str:
        """Which frames these are."""
        rows = sorted({name for _, masks in self.columns.values() for name in masks})
        return f"{' above '.join(rows)}, frames {', '.join(map(str, self.columns))}"

    def last(self) -> tuple[Picture, dict[str, Picture]]:
        """The last frame and its masks by name."""
        return self.columns[max(self.columns)]

    def close(self) -> Path | None:
        """Complete the video and tell where it is."""
        if self._writer is None:
            return None
        self._writer.close()
        return self._path

    def discard(self) -> None:
        """Leave no unfinished file."""
        if self._writer is not None:
            self._writer.discard()

    def _fit(self, array: Picture, filter_: Image.Resampling) -> Picture:
        height, width = array.shape[:2]
        scale = self._size / max(height, width)
        if scale >= 1:
            return np.array(array)
        size = max(1, round(width * scale)), max(1, round(height * scale))
        return np.asarray(Image.fromarray(array).resize(size, filter_))
