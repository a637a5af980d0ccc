"""The video files that a process has read before, so that reading them again needn't find their frames again."""

from collections import OrderedDict
from typing import Any

from vos_lightning.data.index import VideoRecord
from vos_lightning.data.squares import open_for_squares
from vos_lightning.io.frame_source import FrameSource
from vos_lightning.io.video import VideoFile

# what a video costs beside its frames, counted in frames
_OVERHEAD = 100


class OpenedVideos:
    """The video files used last. They hold no open file, only where their frames are.

    Each process has its own: a copy by pickling is empty.

    Args:
        frames: files with this many frames together are kept, at some 12 bytes a frame.
    """

    def __init__(self, frames: int = 4_000_000) -> None:
        """Begin with none."""
        self._budget = frames
        self._forget_all()

    def __len__(self) -> int:
        """Files kept."""
        return len(self._videos)

    def get(self, video: VideoRecord) -> FrameSource:
        """The frames of a video.

        Raises:
            VOSError: it can't be opened.
        """
        if video.path in self._videos:
            self._videos.move_to_end(video.path)
            return self._videos[video.path][0]
        source, cost = open_for_squares(video.path), video.num_frames + _OVERHEAD
        if not isinstance(source, VideoFile):
            return source
        self._videos[video.path] = source, cost
        self._cost += cost
        while self._cost > self._budget:
            self._cost -= self._videos.popitem(last=False)[1][1]
        return source

    def forget(self, video: VideoRecord) -> None:
        """Open a video anew next time, as it may have changed."""
        if video.path in self._videos:
            self._cost -= self._videos.pop(video.path)[1]

    def __getstate__(self) -> dict[str, Any]:
        """Leave the videos behind."""
        return {"_budget": self._budget}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Begin with none."""
        self.__dict__.update(state)
        self._forget_all()

    def _forget_all(self) -> None:
        self._videos: OrderedDict[str, tuple[VideoFile, int]] = OrderedDict()
        self._cost = 0
