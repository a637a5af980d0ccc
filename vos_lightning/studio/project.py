"""The project folder: what was painted and what was tracked, as PNGs and JSON, on disk as soon as it is known.

    project.json         the video (path, frames, size), the objects (id, name, colour, visible, first, last)
    given/00012.png      masks as painted or imported, one palette PNG for each such frame
    masks/00012.png      masks as tracked
    tracked.jsonl        for each tracked frame which passes its mask comes from, and how unsure it is
    passes/KEY/00012.png masks as one pass from one given frame sees them, with how unsure it is as the PNG's text
    exports/             what was taken away

A pass comes from one given frame and looks back at the next one too, if there is one. It is known by its direction,
these frames and digests of the masks given there: `forward-00000-1f2e3d` or `forward-00000-1f2e3d-00031-5a5b5c`.
Paint one of them anew and the pass no longer counts; undo, and it does again. Nothing has to be marked as outdated.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import threading
from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from vos_lightning.errors import CorruptFileError, VOSError, read_error
from vos_lightning.ids import given_objects, merged_objects, present_ids
from vos_lightning.inference.directions import halves, merge_directions
from vos_lightning.io.files import atomic_path
from vos_lightning.io.frames import FrameSource
from vos_lightning.io.limits import opened_image
from vos_lightning.io.mask_reader import MaskReader, fit_mask
from vos_lightning.io.masks import read_mask, write_mask
from vos_lightning.io.palette import DAVIS_PALETTE
from vos_lightning.studio.tracking import TrackedMask

Ids = NDArray[np.uint8]
Direction = Literal["forward", "backward"]
Status = Literal["g", "t", "o", "-"]
"""Of a frame: given, tracked, tracked from masks that have changed since (outdated), nothing known."""

MAX_OBJECTS = 254
_COLOURS = (
    "#ff5a5f",
    "#2ec4b6",
    "#ffbf47",
    "#7b8cff",
    "#c77dff",
    "#7ddf64",
    "#ff8fab",
    "#4cc9f0",
    "#f4845f",
    "#b8b08d",
)


@dataclass(frozen=True)
class VideoObject:
    """An object to follow.

    Args:
        id: its value in masks, 1…254; never used again once it was given away.
        name: as the user calls it.
        colour: `#rrggbb`.
        visible: on the page.
        first: frame where it joins, None if the masks alone say so.
        last: frame where it ends, likewise.
    """

    id: int
    name: str
    colour: str
    visible: bool = True
    first: int | None = None
    last: int | None = None

    def is_present(self, frame: int) -> bool:
        """Is it in the video at this frame, by the bounds that the user set?"""
        return (self.first is None or frame >= self.first) and (self.last is None or frame <= self.last)


@dataclass(frozen=True)
class Tracked:
    """What is known of a tracked mask besides its pixels.

    Args:
        passes: keys of the passes that it was made from.
        uncertainty: of each object, 0…1, by id.
    """

    passes: tuple[str, ...]
    uncertainty: dict[int, float]


@dataclass(frozen=True)
class TrackingPass:
    """One way from a given frame to the next: `frames` in the order they are tracked in.

    Args:
        anchor: where it comes from.
        other: a second given frame with objects of the anchor, which it looks back at too; None without one.
        direction: where it goes to.
        key: names it.
        frames: it visits.
    """

    anchor: int
    other: int | None
    direction: Direction
    key: str
    frames: range


class Project:
    """A project folder and what it holds; every method may be called from any thread.

    Args:
        folder: created if missing.
        source: the video.

    Raises:
        VOSError: see `project_facts`; or the folder can't be written to.
    """

    def __init__(self, folder: Path, source: FrameSource) -> None:
        self.folder = folder
        self.size = source.size
        self.num_frames = len(source)
        self.names = source.names
        self.fps = source.fps
        self.video = source.path.resolve()
        self.objects: list[VideoObject] = []
        self._next_id = 1
        self._lock = threading.RLock()
        self._digests: dict[int, str] = {}
        self._given_ids: dict[int, frozenset[int]] = {}
        self._tracked: dict[int, Tracked] = {}
        self._load(project_facts(folder, source))
        self._forget_old_passes()

    # --- objects

    def set_objects(self, objects: Iterable[VideoObject]) -> None:
        """Replace the list of objects. Masks of those that are gone stay on disk, unseen, until they come back.

        Raises:
            VOSError: an id that can't be, or two of one.
        """
        objects = list(objects)
        ids = [one.id for one in objects]
        if len(set(ids)) != len(ids) or any(not 1 <= i <= MAX_OBJECTS for i in ids):
            raise VOSError(f"objects have ids {ids}; expected different ones from 1 to {MAX_OBJECTS}")
        with self._lock:
            self.objects = objects
            self._next_id = max([self._next_id, *(i + 1 for i in ids)])
            self._save()
            for frame in list(self._digests):
                self._look_at(frame)

    def new_object(self) -> VideoObject:
        """One more object, with an id and a colour of its own; not yet in the list.

        Raises:
            VOSError: all ids are given away.
        """
        if self._next_id > MAX_OBJECTS:
            raise VOSError(
                f"a mask holds at most {MAX_OBJECTS} objects, and all ids were given away; start a new project"
            )
        return _fresh_object(self._next_id)

    # --- given masks

    @property
    def given(self) -> list[int]:
        """Frames whose masks were given, ascending."""
        with self._lock:
            return sorted(self._digests)

    def give(self, frame: int, ids: Ids) -> None:
        """Store the mask of a frame as it was painted.

        Raises:
            VOSError: no such frame, another size, an unknown object, or a disk that is full.
        """
        self._check_frame(frame)
        if ids.shape != self.size:
            raise VOSError(
                f"the mask of frame {frame} is {ids.shape[1]}×{ids.shape[0]}, the video {self.size[1]}×{self.size[0]}"
            )
        unknown = set(np.unique(ids).tolist()) - {0} - {one.id for one in self.objects}
        if unknown:
            raise VOSError(f"the mask of frame {frame} holds {min(unknown)}, which is no object of this project")
        with self._lock:
            write_mask(self._path("given", frame), ids, self.palette())
            self._look_at(frame, ids)

    def import_mask(self, frame: int, content: bytes) -> None:
        """Store a file that `MaskReader` reads as the mask of a frame; what is no object yet becomes one.

        Colours and labels of the file are those of the project's objects.

        Raises:
            VOSError: it is no mask of the video's shape.
        """
        with NamedTemporaryFile(dir=self.folder, suffix=".import") as file:
            file.write(content)
            file.flush()
            known = {name: one.id for one in self.objects for name in (one.colour, one.name)}
            reader = MaskReader(known, taken=range(1, self._next_id))
            try:
                ids = fit_mask(given_objects(reader.read(file.name, self.names[frame])), self.size)
            except VOSError as error:
                raise VOSError(str(error).replace(file.name, "this file")) from error
        if not ids.any():
            raise VOSError("this file holds no object: all its pixels are 0")
        with self._lock:
            if ids.max() > MAX_OBJECTS:  # 255 alone
                ids = merged_objects(ids, self.new_object().id)
            new = set(present_ids(ids)) - {one.id for one in self.objects}
            self.set_objects([*self.objects, *(_fresh_object(one, reader.names.get(one, "")) for one in sorted(new))])
            self.give(frame, ids)

    def take_back(self, frame: int) -> None:
        """Forget the given mask of a frame; the tracked one shows again."""
        with self._lock:
            self._path("given", frame).unlink(missing_ok=True)
            self._digests.pop(frame, None)
            self._given_ids.pop(frame, None)

    def given_mask(self, frame: int) -> Ids:
        """The mask given for a frame, (H, W); only objects of the list."""
        return self._known(read_mask(self._path("given", frame)))

    # --- what is shown

    def mask(self, frame: int) -> Ids:
        """The mask of a frame, (H, W): as given, else as tracked, else empty.

        Raises:
            VOSError: no such frame, or its mask is damaged.
        """
        self._check_frame(frame)
        with self._lock:
            if frame in self._digests:
                return self.given_mask(frame)
            path = self._path("masks", frame)
            if not path.is_file():
                return np.zeros(self.size, np.uint8)
        return self._known(read_mask(path), frame)

    def status(self, frame: int) -> Status:
        """What is known of a frame."""
        with self._lock:
            if frame in self._digests:
                return "g"
            if frame not in self._tracked:
                return "-"
            return "t" if set(self._tracked[frame].passes) <= self._keys_between(*self.neighbours(frame)) else "o"

    def statuses(self) -> str:
        """`status` of all frames, one letter each."""
        with self._lock:
            return "".join(self.status(frame) for frame in range(self.num_frames))

    def uncertainties(self) -> dict[int, dict[int, float]]:
        """Of tracked frames: for each object how unsure its mask is, 0…1."""
        with self._lock:
            known = {one.id for one in self.objects}
            return {
                frame: {i: score for i, score in tracked.uncertainty.items() if i in known}
                for frame, tracked in self._tracked.items()
                if frame not in self._digests
            }

    def shown(self, frame: int) -> dict[str, Any]:
        """Status and uncertainty of a frame, as pages are told."""
        with self._lock:
            return {"status": self.status(frame), "uncertainty": self._tracked[frame].uncertainty}

    def palette(self) -> bytes:
        """The colours of the objects, for PNGs."""
        palette = bytearray(DAVIS_PALETTE)
        for one in self.objects:
            palette[3 * one.id : 3 * one.id + 3] = bytes.fromhex(one.colour[1:])
        return bytes(palette)

    # --- tracking

    @property
    def anchors(self) -> list[int]:
        """Given frames that hold an object: where tracking starts and ends."""
        with self._lock:
            return sorted(frame for frame, ids in self._given_ids.items() if ids)

    def neighbours(self, frame: int) -> tuple[int | None, int | None]:
        """The nearest anchors before and after a frame."""
        anchors = self.anchors
        before, after = bisect_left(anchors, frame), bisect_right(anchors, frame)
        return (anchors[before - 1] if before else None), (anchors[after] if after < len(anchors) else None)

    def tracking_pass(self, anchor: int, direction: Direction, *, whole: bool) -> TrackingPass:
        """The pass from an anchor towards the next one, or to the end of the video.

        Args:
            anchor: a given frame.
            direction: where to.
            whole: up to the next anchor; otherwise only as far as this one is the nearer, unless it holds an object
                that the next one doesn't.
        """
        before, after = self.neighbours(anchor)
        if direction == "forward":
            frames = range(anchor + 1, self.num_frames if after is None else after)
            if not whole and after is not None and self._given_ids[anchor] <= self._given_ids[after]:
                frames = halves(anchor, after)[0]
        else:
            frames = range(anchor - 1, -1 if before is None else before, -1)
            if not whole and before is not None and self._given_ids[anchor] <= self._given_ids[before]:
                frames = halves(before, anchor)[1]
        return TrackingPass(anchor, self._other(anchor, direction), direction, self._key(anchor, direction), frames)

    def is_current(self, one: TrackingPass, *, whole: bool) -> bool:
        """Has nothing changed that the pass depends on?"""
        with self._lock:
            return one.anchor in self.anchors and self.tracking_pass(one.anchor, one.direction, whole=whole) == one

    def missing(self, one: TrackingPass) -> int:
        """How many frames of a pass haven't been tracked."""
        folder = self.folder / "passes" / one.key
        there = {int(path.stem) for path in folder.glob("[0-9]*.png")} if folder.is_dir() else set()
        return len(set(one.frames) - there)

    def write_pass(self, one: TrackingPass, frame: int, mask: TrackedMask) -> None:
        """Store the mask of a frame as a pass sees it, and with it what is to be shown: see `merge_directions`."""
        path = self._pass_path(one.key, frame)
        path.parent.mkdir(exist_ok=True)
        facts = PngInfo()
        facts.add_text("uncertainty", json.dumps(mask.uncertainty))
        with atomic_path(path) as temporary:
            Image.fromarray(mask.ids).save(temporary, format="PNG", pnginfo=facts)
        with self._lock:
            before, after = self.neighbours(frame)
            sides = [self._read_pass(before, "forward", frame), self._read_pass(after, "backward", frame)]
            if before is not None and after is not None and frame in halves(before, after)[1]:
                sides.reverse()
            keys, masks = zip(*(side for side in sides if side is not None), strict=True)
            nearer, farther = masks[0], masks[-1]
            only_farther = farther.uncertainty.keys() - nearer.uncertainty.keys()
            merged = merge_directions(nearer.ids, farther.ids, only_farther)
            self._write_tracked(frame, merged, Tracked(keys, farther.uncertainty | nearer.uncertainty))

    # --- inside

    def _write_tracked(self, frame: int, ids: Ids, tracked: Tracked) -> None:
        write_mask(self._path("masks", frame), ids, self.palette())
        self._tracked[frame] = tracked
        with (self.folder / "tracked.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(_as_line(frame, tracked)) + "\n")

    def _read_pass(self, anchor: int | None, direction: Direction, frame: int) -> tuple[str, TrackedMask] | None:
        """The key of the pass from an anchor, and the mask that it sees; None where it hasn't been."""
        if anchor is None or not (path := self._pass_path(self._key(anchor, direction), frame)).is_file():
            return None
        with opened_image(path) as image:
            scores = {int(i): float(score) for i, score in json.loads(image.info["uncertainty"]).items()}
            return path.parent.name, TrackedMask(np.array(image), scores)

    def _other(self, anchor: int, direction: Direction) -> int | None:
        """The given frame that a pass goes to, else the one behind it; None if that holds none of the objects."""
        before, after = self.neighbours(anchor)
        ahead, behind = (after, before) if direction == "forward" else (before, after)
        other = behind if ahead is None else ahead
        return None if other is None or self._given_ids[other].isdisjoint(self._given_ids[anchor]) else other

    def _key(self, anchor: int, direction: Direction) -> str:
        other = self._other(anchor, direction)
        frames = (anchor,) if other is None else (anchor, other)
        return "-".join([direction, *(f"{frame:05d}-{self._digests[frame]}" for frame in frames)])

    def _keys_between(self, before: int | None, after: int | None) -> set[str]:
        keys = set() if before is None else {self._key(before, "forward")}
        return keys if after is None else keys | {self._key(after, "backward")}

    def _known(self, ids: Ids, frame: int | None = None) -> Ids:
        """Ids without those that are no object of the list or, at `frame`, out of their bounds."""
        table = np.zeros(256, np.uint8)
        for one in self.objects:
            if frame is None or one.is_present(frame):
                table[one.id] = one.id
        return table[ids]

    def _look_at(self, frame: int, ids: Ids | None = None) -> None:
        """Take note of what a given mask holds."""
        ids = self.given_mask(frame) if ids is None else ids
        self._given_ids[frame] = frozenset(np.unique(ids).tolist()) - {0}
        self._digests[frame] = hashlib.sha256(ids.tobytes()).hexdigest()[:10]

    def _check_frame(self, frame: int) -> None:
        if not 0 <= frame < self.num_frames:
            raise VOSError(f"there is no frame {frame}; the video has {self.num_frames}")

    def _path(self, kind: str, frame: int) -> Path:
        return self.folder / kind / f"{frame:05d}.png"

    def _pass_path(self, key: str, frame: int) -> Path:
        return self.folder / "passes" / key / f"{frame:05d}.png"

    def _save(self) -> None:
        facts = {
            "video": str(self.video),
            "frames": self.num_frames,
            "height": self.size[0],
            "width": self.size[1],
            "fps": self.fps,
            "next_id": self._next_id,
            "objects": [asdict(one) for one in self.objects],
        }
        with atomic_path(self.folder / "project.json") as temporary:
            temporary.write_text(json.dumps(facts, indent=1), encoding="utf-8")

    def _load(self, facts: dict[str, Any] | None) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        if facts is not None:
            self.objects, self._next_id = facts["objects"], facts["next_id"]
        if facts is None or facts["video"] != str(self.video):
            self._save()
        for name in ("given", "masks", "passes", "exports"):
            (self.folder / name).mkdir(exist_ok=True)
        for png in sorted((self.folder / "given").glob("[0-9]*.png")):
            self._look_at(int(png.stem))
        self._tracked = dict(_read_lines(self.folder / "tracked.jsonl"))
        with atomic_path(self.folder / "tracked.jsonl") as temporary:
            temporary.write_text(
                "".join(json.dumps(_as_line(*item)) + "\n" for item in self._tracked.items()), encoding="utf-8"
            )

    def _forget_old_passes(self) -> None:
        """Remove passes from masks that have changed since: nothing can bring them back after a restart but chance."""
        current = {self._key(frame, way) for frame in self.anchors for way in ("forward", "backward")}
        for folder in (self.folder / "passes").iterdir():
            if folder.name not in current:
                shutil.rmtree(folder, ignore_errors=True)


def project_facts(folder: Path, source: FrameSource) -> dict[str, Any] | None:
    """What `project.json` holds, with its objects as `VideoObject`s; None if the folder is new or empty.

    A video that is no longer where it was counts as moved if the new one has as many frames of the same size.

    Raises:
        VOSError: it is a file, holds something else, is damaged, or belongs to another video.
    """
    try:
        return _read_facts(folder, source)
    except OSError as error:
        fault = VOSError(f"{folder}: can't be read ({error.strerror}); choose another --project")
        raise read_error(folder, error, fault) from error


def _read_facts(folder: Path, source: FrameSource) -> dict[str, Any] | None:
    path = folder / "project.json"
    if folder.exists() and not folder.is_dir():
        raise VOSError(f"{folder}: is a file, no folder; choose another --project")
    if not path.is_file():
        if folder.is_dir() and any(not one.name.startswith(".") for one in folder.iterdir()):
            raise VOSError(f"{folder}: is neither empty nor a project of the studio; choose another --project")
        return None
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        facts["objects"] = [VideoObject(**one) for one in facts["objects"]]
        facts["next_id"] = int(facts["next_id"])
        old = str(facts["video"]), (facts["frames"], facts["height"], facts["width"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise CorruptFileError(f"{path}: not a project of the studio; choose another --project") from error
    new = str(source.path.resolve()), (len(source), *source.size)
    if old[1] != new[1] or (old[0] != new[0] and os.path.exists(old[0])):  # noqa: PTH110 - never raises
        raise VOSError(
            f"{folder}: belongs to another video ({_described(*old)}), not {_described(*new)}; choose another --project"
        )
    return dict(facts)


def _described(video: str, shape: tuple[int, ...]) -> str:
    frames, height, width = shape
    return f"{video}, {width}×{height}, frames: {frames}"


def _fresh_object(number: int, name: str = "") -> VideoObject:
    """An object that was called by its colour or by a label."""
    colour = name if name.startswith("#") else _COLOURS[(number - 1) % len(_COLOURS)]
    return VideoObject(number, name if name and name != colour else f"object {number}", colour)


def object_from(facts: Any) -> VideoObject:  # noqa: ANN401 - JSON of a stranger
    """An object from JSON.

    Raises:
        VOSError: it isn't one.
    """
    try:
        bounds = [facts.get(name) for name in ("first", "last")]
        one = VideoObject(
            int(facts["id"]), str(facts["name"])[:100], str(facts["colour"]), bool(facts.get("visible", True)),
            *(None if bound is None else int(bound) for bound in bounds),
        )  # fmt: skip
        bytes.fromhex(one.colour[1:])
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise VOSError("this is no object: expected id, name and colour (#rrggbb)") from error
    if len(one.colour) != 7 or one.colour[0] != "#":
        raise VOSError(f"{one.colour!r} is no colour; expected #rrggbb")
    return replace(one, name=one.name.strip() or f"object {one.id}")


def _as_line(frame: int, tracked: Tracked) -> dict[str, Any]:
    return {"frame": frame, "passes": list(tracked.passes), "uncertainty": tracked.uncertainty}


def _read_lines(path: Path) -> Iterable[tuple[int, Tracked]]:
    """Frames with what is known of their masks; a last line that was cut off is left out."""
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else ():
        try:
            facts = json.loads(line)
            scores = {int(i): float(score) for i, score in facts["uncertainty"].items()}
            yield int(facts["frame"]), Tracked(tuple(facts["passes"]), scores)
        except (ValueError, KeyError, TypeError):
            continue
