"""What an audit found."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

from vos_lightning.errors import CorruptFileError, DatasetNotFoundError, ExhaustedError, VOSError

Kind = Literal["missing", "corrupt", "invalid"]


class Problem(NamedTuple):
    """A file that must be mended: it is missing, can't be decoded, or isn't what it should be."""

    kind: Kind
    path: str
    reason: str

    @classmethod
    def missing(cls, path: Path, reason: str = "missing") -> "Problem":
        """A file that isn't there."""
        return cls("missing", str(path), f"{path}: {reason}")

    @classmethod
    def invalid(cls, path: Path, reason: str) -> "Problem":
        """A file that isn't what it should be."""
        return cls("invalid", str(path), f"{path}: {reason}")

    @classmethod
    def of(cls, path: Path, error: VOSError) -> "Problem":
        """What reading a file ended with.

        Raises:
            ExhaustedError: it says nothing about the file.
        """
        if isinstance(error, ExhaustedError):
            raise error
        if isinstance(error, DatasetNotFoundError):
            return cls("missing", str(path), str(error))
        return cls("corrupt" if isinstance(error, CorruptFileError) else "invalid", str(path), str(error))


@dataclass
class AuditReport:
    """Contents and faults of a dataset.

    Args:
        root: the dataset.
        format: its layout.
        clip_length: frames that a training clip needs.
        videos: videos or sequences looked at.
        frames: readable frames.
        masks: readable masks.
        trainable: videos without a problem that are long enough for a clip.
        sizes: videos by "HEIGHTxWIDTH" of their first frame.
        fps: videos by frame rate; files of frames have none.
        objects: sequences by number of objects.
        splits: videos of each split.
        problems: what makes the audit fail.
        notes: what is only worth knowing: absent splits, short videos, files too many, unusual ids.
    """

    root: str
    format: str
    clip_length: int = 2
    videos: int = 0
    frames: int = 0
    masks: int = 0
    trainable: int = 0
    sizes: Counter[str] = field(default_factory=Counter)
    fps: Counter[str] = field(default_factory=Counter)
    objects: Counter[str] = field(default_factory=Counter)
    splits: dict[str, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def exit_code(self) -> int:
        """1 exactly when a file is missing, corrupt or invalid."""
        return int(bool(self.problems))

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        counters = {name: dict(getattr(self, name).most_common()) for name in ("sizes", "fps", "objects")}
        return {**vars(self), **counters, "problems": [problem._asdict() for problem in self.problems]}

    def lines(self) -> list[str]:
        """For people: one fact per line, every problem by name."""
        kinds = Counter(problem.kind for problem in self.problems)
        lines = [f"{self.root}: {self.format}, {self.videos} videos, {self.frames} frames, {self.masks} masks"]
        lines += [f"{name}: {count} videos" for name, count in self.splits.items()]
        for title, counter in (("sizes", self.sizes), ("fps", self.fps), ("objects", self.objects)):
            if counter:
                lines.append(f"{title}: " + ", ".join(f"{value} ({count})" for value, count in counter.most_common()))
        lines.append(f"training: {self.trainable} videos have a clip of {self.clip_length} frames and no problem")
        lines += [f"note: {note}" for note in self.notes]
        lines += [
            f"{kind}: {reason if path in reason else f'{path}: {reason}'}" for kind, path, reason in self.problems
        ]
        found = ", ".join(f"{kinds[kind]} {kind}" for kind in ("missing", "corrupt", "invalid"))
        return [*lines, f"{len(self.problems)} problems: {found}"]
