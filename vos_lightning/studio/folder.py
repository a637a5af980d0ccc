"""The project folder: what was painted and what was tracked, as PNGs and JSON, each file whole or not at all.

project.json         the video (path, frames, size), the objects (id, name, colour, visible, first, last)
given/00012.png      masks as painted or imported, one palette PNG for each such frame
masks/00012.png      masks as tracked
tracked.jsonl        for each tracked frame which passes its mask comes from, and how unsure it is
passes/KEY/00012.png masks as one pass sees them, with how unsure it is as the PNG's text
passes/KEY/00012.probabilities.png what it made them from: small, one object below the other
passes/KEY/arrival.json by object how well it met the given mask that it leads to, see `directions.arrival`
exports/             what was taken away
"""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from vos_lightning.errors import CorruptFileError, VOSError, read_error
from vos_lightning.io.files import atomic_path, list_files
from vos_lightning.io.frames import IMAGE_SUFFIXES, FrameSource
from vos_lightning.io.limits import opened_image
from vos_lightning.io.masks import read_mask, write_mask
from vos_lightning.studio.objects import Ids, VideoObject, object_from
from vos_lightning.studio.tracking import TrackedMask

Kind = Literal["given", "masks"]


@dataclass(frozen=True)
class Facts:
    """What `project.json` holds.

    Args:
        video: its path.
        frames: of the video.
        height: of its frames.
        width: of its frames.
        fps: its frames per second.
        bytes: of its files; None if a project of long ago doesn't say.
        next_id: of the next object.
        objects: that were pointed at.
    """

    video: str
    frames: int
    height: int
    width: int
    fps: float
    bytes: int | None
    next_id: int = 1
    objects: tuple[VideoObject, ...] = ()

    @classmethod
    def of(cls, source: FrameSource) -> Facts:
        """A video without objects."""
        files = list_files(source.path, IMAGE_SUFFIXES) if source.path.is_dir() else [source.path]
        size = sum(file.stat().st_size for file in files)
        return cls(str(source.path.resolve()), len(source), *source.size, source.fps, size)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Frames, height and width of the video."""
        return self.frames, self.height, self.width

    def __str__(self) -> str:
        """The video, for messages."""
        return f"{self.video}, {self.width}×{self.height}, frames: {self.frames}"


@dataclass(frozen=True)
class Tracked:
    """What is known of a tracked mask besides its pixels.

    Args:
        passes: keys of the passes that it was made from.
        uncertainty: of each object, 0…1, by id.
    """

    passes: tuple[str, ...]
    uncertainty: dict[int, float]


class ProjectFolder:
    """Reads and writes a project folder. Files that it didn't name are left alone.

    Args:
        path: of the folder; nothing is made there before `create`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def create(self) -> None:
        """Make what isn't there yet."""
        for name in ("given", "masks", "passes", "exports"):
            (self.path / name).mkdir(parents=True, exist_ok=True)

    # --- project.json

    def facts(self, source: FrameSource) -> Facts:
        """What is stored of a video; the video alone if the folder is new or empty.

        A video that is no longer where it was counts as moved if the new one has as many frames of the same size.

        Raises:
            VOSError: it is a file, holds something else, is damaged, or belongs to another video.
        """
        try:
            old = self._stored_facts()
            moved = old is not None and not os.path.exists(old.video)  # noqa: PTH110 - never raises
        except OSError as error:
            fault = VOSError(f"{self.path}: can't be read ({error.strerror}); choose another --project")
            raise read_error(self.path, error, fault) from error
        new = Facts.of(source)
        if old is None:
            return new
        if old.shape != new.shape or not (old.video == new.video or moved):
            raise VOSError(f"{self.path}: belongs to another video ({old}), not {new}; choose another --project")
        if old.bytes not in (None, new.bytes):
            raise VOSError(
                f"{self.path}: {new.video} has {new.bytes} bytes, but {old.bytes} when this project was made; choose "
                'another --project, or remove "bytes" from its project.json if it shows the same'
            )
        return replace(new, next_id=old.next_id, objects=old.objects)

    def write_facts(self, facts: Facts) -> None:
        """Store what `facts` is to give."""
        with atomic_path(self.path / "project.json") as temporary:
            temporary.write_text(json.dumps(asdict(facts), indent=1), encoding="utf-8")

    def _stored_facts(self) -> Facts | None:
        path = self.path / "project.json"
        if self.path.exists() and not self.path.is_dir():
            raise VOSError(f"{self.path}: is a file, no folder; choose another --project")
        if not path.is_file():
            if self.path.is_dir() and any(not one.name.startswith(".") for one in self.path.iterdir()):
                raise VOSError(f"{self.path}: is neither empty nor a project of the studio; choose another --project")
            return None
        try:
            facts = json.loads(path.read_text(encoding="utf-8"))
            frames, height, width, next_id = (int(facts[name]) for name in ("frames", "height", "width", "next_id"))
            objects = tuple(object_from(one) for one in facts["objects"])
            size = None if facts.get("bytes") is None else int(facts["bytes"])
            return Facts(str(facts["video"]), frames, height, width, float(facts["fps"]), size, next_id, objects)
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise CorruptFileError(f"{path}: not a project of the studio; choose another --project") from error

    # --- masks

    def frames(self, kind: Kind) -> list[int]:
        """Frames that have a mask, ascending."""
        return _numbers(self.path / kind)

    def mask(self, kind: Kind, frame: int) -> Ids:
        """A mask, (H, W).

        Raises:
            VOSError: there is none, or it is damaged.
        """
        return read_mask(self._mask_path(kind, frame))

    def write_mask(self, kind: Kind, frame: int, ids: Ids, palette: bytes) -> None:
        """Store a mask.

        Raises:
            VOSError: a disk that is full.
        """
        write_mask(self._mask_path(kind, frame), ids, palette)

    def remove_mask(self, kind: Kind, frame: int) -> None:
        """Forget a mask, if there is one."""
        self._mask_path(kind, frame).unlink(missing_ok=True)

    def _mask_path(self, kind: Kind, frame: int) -> Path:
        return self.path / kind / f"{frame:05d}.png"

    # --- tracked.jsonl

    def tracked(self) -> dict[int, Tracked]:
        """What is known of tracked masks, by frame; a line that was cut off is left out, here and in the file."""
        path = self.path / "tracked.jsonl"
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else ()
        tracked = dict(_read_lines(lines))
        with atomic_path(path) as temporary:
            temporary.write_text("".join(_as_line(*item) for item in tracked.items()), encoding="utf-8")
        return tracked

    def add_tracked(self, frame: int, tracked: Tracked) -> None:
        """Store what is known of one more mask."""
        line = _as_line(frame, tracked).encode()
        with (self.path / "tracked.jsonl").open("ab", buffering=0) as file:
            end = file.tell()
            if file.write(line) != len(line):
                file.truncate(end)  # else the next line would go on in this one
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    # --- passes

    def frames_of(self, key: str) -> list[int]:
        """Frames of a pass that have a mask, ascending."""
        return _numbers(self.path / "passes" / key)

    def pass_mask(self, key: str, frame: int) -> TrackedMask | None:
        """The mask of a frame as a pass sees it; None where it hasn't been. A damaged one is removed: it hasn't."""
        path = self._pass_path(key, frame)
        if not path.is_file():
            return None
        try:
            with opened_image(path) as image, opened_image(_probabilities_path(path)) as below:
                scores = _scores(image.info["uncertainty"])
                probabilities = np.array(below).reshape(len(scores), -1, below.width)
                return TrackedMask(np.array(image), scores, probabilities)
        except (VOSError, KeyError, ValueError):
            path.unlink()
            return None

    def write_pass_mask(self, key: str, frame: int, mask: TrackedMask) -> None:
        """Store the mask of a frame as a pass sees it."""
        path = self._pass_path(key, frame)
        path.parent.mkdir(exist_ok=True)
        text = PngInfo()
        text.add_text("uncertainty", json.dumps(mask.uncertainty))
        with atomic_path(_probabilities_path(path)) as temporary:
            Image.fromarray(mask.probabilities.reshape(-1, mask.probabilities.shape[-1])).save(temporary, format="PNG")
        with atomic_path(path) as temporary:
            Image.fromarray(mask.ids).save(temporary, format="PNG", pnginfo=text)

    def arrival(self, key: str) -> dict[int, float] | None:
        """How well a pass met the given mask that it leads to, by object; None if that isn't known."""
        path = self.path / "passes" / key / "arrival.json"
        try:
            return _scores(path.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return None

    def write_arrival(self, key: str, arrival: Mapping[int, float]) -> None:
        """Store how well a pass met the given mask that it leads to."""
        path = self.path / "passes" / key / "arrival.json"
        path.parent.mkdir(exist_ok=True)
        with atomic_path(path) as temporary:
            temporary.write_text(json.dumps(arrival), encoding="utf-8")

    def keep_passes(self, keys: Collection[str]) -> None:
        """Remove all other passes."""
        for folder in (self.path / "passes").iterdir():
            if folder.name not in keys:
                shutil.rmtree(folder, ignore_errors=True)

    def _pass_path(self, key: str, frame: int) -> Path:
        return self.path / "passes" / key / f"{frame:05d}.png"


def _probabilities_path(path: Path) -> Path:
    return path.with_suffix(".probabilities.png")


def _numbers(folder: Path) -> list[int]:
    return sorted(int(png.stem) for png in folder.glob("*.png") if png.stem.isdecimal())


def _scores(text: str) -> dict[int, float]:
    """Numbers by object, 0…1.

    Raises:
        ValueError: it holds something else.
    """
    try:
        scores = {int(i): float(score) for i, score in json.loads(text).items()}
    except (TypeError, AttributeError) as error:
        raise ValueError("not a number for each object") from error
    if not all(0 <= score <= 1 for score in scores.values()):
        raise ValueError("a number is out of range")
    return scores


def _as_line(frame: int, tracked: Tracked) -> str:
    return json.dumps({"frame": frame, **asdict(tracked)}) + "\n"


def _read_lines(lines: Iterable[str]) -> Iterator[tuple[int, Tracked]]:
    for line in lines:
        try:
            facts = json.loads(line)
            scores = {int(i): float(score) for i, score in facts["uncertainty"].items()}
            yield int(facts["frame"]), Tracked(tuple(facts["passes"]), scores)
        except (ValueError, KeyError, TypeError):
            continue
