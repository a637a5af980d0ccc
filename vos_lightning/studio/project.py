"""A project: which objects there are, which masks were given, what tracking has found; all of it on disk at once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any, Literal

import numpy as np

from vos_lightning.errors import VOSError
from vos_lightning.ids import given_objects, merged_objects, present_ids
from vos_lightning.io.frames import FrameSource
from vos_lightning.io.mask_reader import MaskReader, fit_mask
from vos_lightning.studio.folder import Kind, ProjectFolder, Tracked
from vos_lightning.studio.objects import MAX_OBJECTS, Ids, VideoObject, fresh_object, only, palette_of
from vos_lightning.studio.passes import Given, Passes, TrackingPass
from vos_lightning.studio.tracking import TrackedMask

Status = Literal["g", "t", "o", "-"]
"""Of a frame: given, tracked, tracked from masks that have changed since (outdated), nothing known."""


class Project:
    """What is known of a video; every method may be called from any thread.

    Args:
        folder: where it is kept; created if missing.
        source: the video.

    Attributes:
        passes: what is to be tracked from where, as things stand.

    Raises:
        VOSError: see `ProjectFolder.facts`; or the folder can't be written to.
    """

    def __init__(self, folder: Path, source: FrameSource) -> None:
        self.folder = folder
        self.size = source.size
        self.num_frames = len(source)
        self.names = source.names
        self.fps = source.fps
        self.video = source.path.resolve()
        self._lock = threading.RLock()
        self._files = ProjectFolder(folder)
        self._facts = self._files.facts(source)
        self._files.create()
        self._files.write_facts(self._facts)
        self._look_at_all(frame for frame in self._files.frames("given") if frame < self.num_frames)
        self._tracked = self._files.tracked()
        # passes from masks that have changed since: nothing can bring them back after a restart but chance
        self._files.keep_passes(self.passes.keys)

    # --- objects

    @property
    def objects(self) -> tuple[VideoObject, ...]:
        """What is followed."""
        return self._facts.objects

    def set_objects(self, objects: Iterable[VideoObject]) -> None:
        """Replace the list of objects. Masks of those that are gone stay on disk, unseen, until they come back.

        Raises:
            VOSError: two have one id.
        """
        objects = tuple(objects)
        ids = [one.id for one in objects]
        if len(set(ids)) != len(ids):
            raise VOSError(f"objects have ids {ids}; expected different ones")
        with self._lock:
            next_id = max([self._facts.next_id, *(i + 1 for i in ids)])
            facts = replace(self._facts, objects=objects, next_id=next_id)
            self._files.write_facts(facts)
            self._facts = facts
            self._look_at_all(self._given)

    def new_object(self) -> VideoObject | None:
        """One more object, with an id and a colour of its own; not yet in the list. None if all ids are given away."""
        return fresh_object(self._facts.next_id) if self._facts.next_id <= MAX_OBJECTS else None

    # --- given masks

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
        with self._lock:
            unknown = set(present_ids(ids)) - {one.id for one in self.objects}
            if unknown:
                raise VOSError(f"the mask of frame {frame} holds {min(unknown)}, which is no object of this project")
            self._files.write_mask("given", frame, ids, self.palette())
            self._take_note(self._given | {frame: Given.of(ids)})

    def import_mask(self, frame: int, content: bytes) -> None:
        """Store a file that `MaskReader` reads as the mask of a frame; what is no object yet becomes one.

        Colours and labels of the file are those of the project's objects.

        Raises:
            VOSError: it is no mask of the video's shape.
        """
        with self._lock, NamedTemporaryFile(dir=self.folder, suffix=".import") as file:
            file.write(content)
            file.flush()
            known = {name: one.id for one in self.objects for name in (one.colour, one.name)}
            reader = MaskReader(known, taken=range(1, self._facts.next_id))
            try:
                ids = fit_mask(given_objects(reader.read(file.name, self.names[frame])), self.size)
            except VOSError as error:
                raise VOSError(str(error).replace(file.name, "this file")) from error
            if not ids.any():
                raise VOSError("this file holds no object: all its pixels are 0")
            if ids.max() > MAX_OBJECTS:  # 255 alone
                one = self.new_object()
                if one is None:
                    raise VOSError(f"a project has at most {MAX_OBJECTS} objects, removed ones too; start another one")
                ids = merged_objects(ids, one.id)
            new = set(present_ids(ids)) - {one.id for one in self.objects}
            self.set_objects([*self.objects, *(fresh_object(one, reader.names.get(one, "")) for one in sorted(new))])
            self.give(frame, ids)

    def take_back(self, frame: int) -> None:
        """Forget the given mask of a frame; the tracked one shows again."""
        with self._lock:
            self._files.remove_mask("given", frame)
            self._take_note({other: one for other, one in self._given.items() if other != frame})

    def given_mask(self, frame: int) -> Ids:
        """The mask given for a frame, (H, W); only objects of the list.

        Raises:
            VOSError: it is damaged.
        """
        return only(self.objects, self._read("given", frame))

    # --- what is shown

    def mask(self, frame: int) -> Ids:
        """The mask of a frame, (H, W): as given, else as tracked, else empty.

        Raises:
            VOSError: no such frame, or its mask is damaged.
        """
        self._check_frame(frame)
        with self._lock:
            if frame in self._given:
                return self.given_mask(frame)
            if frame not in self._tracked:
                return np.zeros(self.size, np.uint8)
            try:
                ids = self._read("masks", frame)
            except VOSError as error:
                del self._tracked[frame]
                raise VOSError(f"frame {frame} has lost its mask: its file is damaged or gone; track again") from error
        return only([one for one in self.objects if one.is_present(frame)], ids)

    def status(self, frame: int) -> Status:
        """What is known of a frame."""
        with self._lock:
            if frame in self._given:
                return "g"
            if frame not in self._tracked:
                return "-"
            return "t" if set(self._tracked[frame].passes) <= set(self.passes.keys_at(frame)) else "o"

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
                if frame not in self._given
            }

    def palette(self) -> bytes:
        """The colours of the objects, for PNGs."""
        return palette_of(self.objects)

    # --- tracking

    def is_kept(self, one: TrackingPass) -> bool:
        """Is all on disk that a pass found?"""
        if not set(one.frames) <= set(self._files.frames_of(one.key)):
            return False
        return one.end is None or not one.frames or bool(self.arrival(one))

    def sides(self, one: TrackingPass) -> list[TrackingPass]:
        """Those passes over the same frames that are kept, the one forward first; none if this one doesn't count."""
        with self._lock:
            if one.key not in self.passes.keys:
                return []
            return [side for side in self.passes.beside(one) if self.is_kept(side)]

    def is_shown(self, one: TrackingPass) -> bool:
        """Is there nothing of a pass left to track or to show?"""
        with self._lock:
            if not self.is_kept(one):
                return False
            keys = tuple(side.key for side in self.sides(one))
            found = [self._tracked.get(frame) for frame in one.frames if frame not in self._given]
            return all(tracked is not None and tracked.passes == keys for tracked in found)

    def write_pass(self, one: TrackingPass, frame: int, mask: TrackedMask) -> None:
        """Store the mask of a frame as a pass sees it; see `show`."""
        self._files.write_pass_mask(one.key, frame, mask)

    def starts(self, one: TrackingPass) -> list[tuple[int, Ids]] | None:
        """The given masks that a pass starts from, by frame, the anchor's last; None if it doesn't count any more."""
        with self._lock:
            if one.key not in self.passes.keys:
                return None
            return [(frame, self.given_mask(frame)) for frame in (one.other, one.anchor) if frame is not None]

    def end_pass(self, one: TrackingPass, ids: Ids, arrival: Callable[[Ids, Ids], Mapping[int, float]]) -> None:
        """Store how well a pass met the given mask that it leads to, if it counts still.

        Args:
            one: the pass.
            ids: as it sees that frame, (H, W).
            arrival: compares them with what was given, by object, see `directions.arrival`.
        """
        with self._lock:
            if one.end is not None and one.key in self.passes.keys:
                self._files.write_arrival(one.key, arrival(ids, self.given_mask(one.end)))

    def seen(self, one: TrackingPass, frame: int) -> TrackedMask | None:
        """The mask of a frame as a pass sees it; None where it hasn't been."""
        return self._files.pass_mask(one.key, frame)

    def arrival(self, one: TrackingPass) -> dict[int, float]:
        """How well a pass met the given mask that it leads to, by object; empty if it hasn't got there."""
        with self._lock:
            arrival = self._files.arrival(one.key) or {}
            given = None if one.end is None else self._given.get(one.end)
            return arrival if given is not None and given.ids <= arrival.keys() else {}

    def show(self, frame: int, keys: Sequence[str], mask: TrackedMask) -> dict[str, Any] | None:
        """Take a mask for what tracking has found in a frame.

        Args:
            frame: its number.
            keys: of the passes that the mask was made from, the one forward first.
            mask: all that they see.

        Returns:
            Status and uncertainty of the frame, as pages are told; None if one of the passes doesn't count there any
            more, for given masks have changed.
        """
        with self._lock:
            if not set(keys) <= set(self.passes.keys_at(frame)):
                return None
            tracked = Tracked(tuple(keys), mask.uncertainty)
            self._files.write_mask("masks", frame, mask.ids, self.palette())
            self._files.add_tracked(frame, tracked)
            self._tracked[frame] = tracked
            return {"status": self.status(frame), "uncertainty": tracked.uncertainty}

    # --- inside

    def _read(self, kind: Kind, frame: int) -> Ids:
        ids = self._files.mask(kind, frame)
        if ids.shape != self.size:
            raise VOSError(f"{self.folder}: the mask {kind}/{frame:05d}.png is of another size; replace or remove it")
        return ids

    def _look_at_all(self, frames: Iterable[int]) -> None:
        """Read what was given for these frames."""
        self._take_note({frame: Given.of(self.given_mask(frame)) for frame in frames})

    def _take_note(self, given: dict[int, Given]) -> None:
        """Other masks are given now."""
        self._given, self.passes = given, Passes(given, self.num_frames)

    def _check_frame(self, frame: int) -> None:
        if not 0 <= frame < self.num_frames:
            raise VOSError(f"there is no frame {frame}; the video has {self.num_frames}")
