"""The `meta.json` of YouTube-VOS: which objects a video has, of which category, and in which frames."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vos_lightning.errors import CorruptFileError, DatasetNotFoundError
from vos_lightning.ids import VOID

_SEEN = (
    "airplane ape bear bike bird boat bucket bus camel cat cow crocodile deer dog dolphin duck eagle earless_seal "
    "elephant fish fox frisbee frog giant_panda giraffe hand hat hedgehog horse knife leopard lion lizard monkey "
    "motorbike mouse others owl paddle parachute parrot penguin person plant rabbit raccoon sedan shark sheep sign "
    "skateboard snail snake snowboard squirrel surfboard tennis_racket tiger toilet train truck turtle umbrella whale "
    "zebra"
)
SEEN_CATEGORIES = frozenset(_SEEN.split())
"""The 65 categories of the training set; any other is unseen."""

_IDS = {str(number): number for number in range(1, VOID)}


@dataclass(frozen=True)
class ObjectEntry:
    """One object: the first of its frames introduces it; the category is empty where it isn't known."""

    id: int
    category: str
    frames: tuple[str, ...]


@dataclass(frozen=True)
class Video:
    """One video of `meta.json`."""

    name: str
    objects: tuple[ObjectEntry, ...]

    @property
    def frames(self) -> tuple[str, ...]:
        """Names of all frames in which an object is listed, sorted."""
        return tuple(sorted({frame for entry in self.objects for frame in entry.frames}))


def read_metadata(path: str | Path, need_categories: bool = True) -> dict[str, Video]:
    """Reads `meta.json`: `{"videos": {name: {"objects": {id: {"category": …, "frames": […]}}}}}`.

    Args:
        path: The file.
        need_categories: Refuse objects without category.

    Raises:
        DatasetNotFoundError: There is no such file.
        CorruptFileError: It is not JSON, or of another structure; the message names the video and the object.
    """
    path = Path(path)
    if not path.is_file():
        raise DatasetNotFoundError(f"{path}: no such file; YouTube-VOS keeps meta.json beside its Annotations folder")
    try:
        videos = _filled(json.loads(path.read_text(encoding="utf-8")), "videos", dict, "the file")
        return {name: Video(name, _objects(name, video, need_categories)) for name, video in videos.items()}
    except (ValueError, OSError, RecursionError) as error:
        raise CorruptFileError(
            f'{path}: not the meta.json of YouTube-VOS: {error}; expected {{"videos": {{name: {{"objects": {{id: '
            '{"category", "frames"}}}}}'
        ) from error


def _objects(name: str, video: object, need_categories: bool) -> tuple[ObjectEntry, ...]:
    entries = []
    for number, entry in _filled(video, "objects", dict, f"video {name!r}").items():
        where = f"object {number!r} of video {name!r}"
        if number not in _IDS:
            raise ValueError(f"{where} has no id between 1 and {VOID - 1}")
        frames = _filled(entry, "frames", list, where)
        if not all(isinstance(frame, str) for frame in frames):
            raise ValueError(f"{where} has frames that are no names")
        category = _filled(entry, "category", str, where) if need_categories or "category" in entry else ""
        entries.append(ObjectEntry(_IDS[number], category, tuple(sorted(set(frames)))))
    return tuple(sorted(entries, key=lambda entry: entry.id))


def _filled(container: object, key: str, kind: type, where: str) -> Any:  # noqa: ANN401
    """A value of a JSON object, which may be neither missing nor empty."""
    value = container.get(key) if isinstance(container, dict) else None
    if not isinstance(value, kind) or not value:
        raise ValueError(f"{where} has no {key!r}")
    return value
