"""The `meta.json` of YouTube-VOS: which objects a video has, of which category, and in which frames."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vos_lightning.errors import CorruptFileError, DatasetNotFoundError

_SEEN = (
    "airplane ape bear bike bird boat bucket bus camel cat cow crocodile deer dog dolphin duck eagle earless_seal "
    "elephant fish fox frisbee frog giant_panda giraffe hand hat hedgehog horse knife leopard lion lizard monkey "
    "motorbike mouse others owl paddle parachute parrot penguin person plant rabbit raccoon sedan shark sheep sign "
    "skateboard snail snake snowboard squirrel surfboard tennis_racket tiger toilet train truck turtle umbrella whale "
    "zebra"
)
SEEN_CATEGORIES = frozenset(_SEEN.split())
"""The 65 categories of the training set; any other is unseen."""


@dataclass(frozen=True)
class ObjectEntry:
    """One object: the first of its frames introduces it."""

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


def read_metadata(path: str | Path) -> dict[str, Video]:
    """Reads `meta.json`: `{"videos": {name: {"objects": {id: {"category": …, "frames": […]}}}}}`.

    Raises:
        DatasetNotFoundError: There is no such file.
        CorruptFileError: It is not JSON, or of another structure.
    """
    path = Path(path)
    if not path.is_file():
        raise DatasetNotFoundError(f"{path}: no such file; YouTube-VOS keeps meta.json beside its Annotations folder")
    try:
        videos: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))["videos"]
        return {name: Video(name, _objects(video)) for name, video in videos.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CorruptFileError(
            f'{path}: not the meta.json of YouTube-VOS ({error!r}); expected {{"videos": {{name: {{"objects": {{id: '
            '{"category", "frames"}}}}}'
        ) from error


def _objects(video: dict[str, Any]) -> tuple[ObjectEntry, ...]:
    entries = [
        ObjectEntry(int(number), str(entry.get("category", "")), tuple(map(str, entry["frames"])))
        for number, entry in video["objects"].items()
    ]
    return tuple(sorted(entries, key=lambda entry: entry.id))
