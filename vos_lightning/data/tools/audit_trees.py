"""What should be in a DAVIS or YouTube-VOS tree, by its own lists."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from vos_lightning.data.layouts.davis import davis_names
from vos_lightning.data.layouts.youtube_vos import RELEASES, YouTubeVOSVideo, read_meta
from vos_lightning.data.tools.audit_report import Problem
from vos_lightning.errors import DatasetNotFoundError, VOSError
from vos_lightning.io.files import list_files
from vos_lightning.io.frame_folder import IMAGE_SUFFIXES

_DAVIS_SPLITS = {
    "2016": ("train", "val"),
    "480p": ("train", "val"),
    "1080p": ("train", "val"),
    "2017": ("train", "val", "test-dev", "test-challenge"),
    "2019": ("test-dev", "test-challenge"),
}
_YOUTUBE_SPLITS = ("train", "valid", "test")


@dataclass(frozen=True)
class ExpectedSequence:
    """One sequence and what its folders should hold.

    Args:
        frames: folder of frames, which exists.
        masks: folder of masks, which exists; None where there are none to expect.
        frame_names: frames that must be there, whatever else is.
        annotated: names of the masks that must be there; None is one for each frame.
        ids: object ids that may occur; None is those of the first mask.
        introduced: ids that enter in a frame; if none of them is in its mask, there is nothing to track. None is those
            of the first frame.
        void_is_foreground: 255 is an object (DAVIS 2016).
    """

    frames: Path
    masks: Path | None
    frame_names: frozenset[str] = frozenset()
    annotated: frozenset[str] | None = None
    ids: frozenset[int] | None = None
    introduced: dict[str, set[int]] | None = None
    void_is_foreground: bool = False

    def mask_names(self, frames: Iterable[str]) -> set[str]:
        """Masks that must be there, given the frames that are."""
        return set(self.frame_names | set(frames) if self.annotated is None else self.annotated)


@dataclass
class Expectations:
    """The sequences to read, and what is known without reading them."""

    sequences: list[ExpectedSequence] = field(default_factory=list)
    splits: dict[str, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def folder(self, path: Path, sequence: str) -> bool:
        """Whether a folder exists; if not, it is a problem."""
        if not path.is_dir():
            self.problems.append(Problem.missing(path, f"missing, {sequence} is on the list"))
        return path.is_dir()


def davis_expectations(root: Path) -> Expectations:
    """Sequences of all image sets and resolutions of a DAVIS tree.

    Raises:
        DatasetNotFoundError: no pictures or no image set.
    """
    resolutions = sorted(path.name for path in (root / "JPEGImages").glob("*") if path.is_dir())
    sets = [year for year in _DAVIS_SPLITS if (root / "ImageSets" / year).is_dir()]
    if not resolutions or not sets:
        # says what a tree looks like
        davis_names(root, "2017", "val")
        raise DatasetNotFoundError(f"{root / 'JPEGImages'}: no resolution in it, such as 480p")
    expected = Expectations()
    known: dict[str, set[str]] = {resolution: set() for resolution in resolutions}
    read: dict[Path, ExpectedSequence] = {}
    for year in sets:
        for split in _DAVIS_SPLITS[year]:
            names = _names(root, year, split, expected)
            if names is None:
                continue
            expected.splits[f"{year}/{split}"] = len(names)
            for resolution in resolutions if year in ("2016", "2017", "2019") else {year} & set(resolutions):
                known[resolution].update(names)
                for name in names:
                    sequence = _davis_sequence(root, year, split, resolution, name, expected)
                    # in both editions: 2017 says more about it, and it need not be read twice
                    if sequence is not None:
                        read[sequence.masks or sequence.frames] = sequence
    expected.sequences = list(read.values())
    for resolution in resolutions:
        extra = {path.name for path in (root / "JPEGImages" / resolution).iterdir() if path.is_dir()} - known[
            resolution
        ]
        expected.notes += [f"{root / 'JPEGImages' / resolution / name}: on no list" for name in sorted(extra)]
    return expected


def _names(root: Path, year: str, split: str, expected: Expectations) -> list[str] | None:
    path = root / "ImageSets" / year / f"{split}.txt"
    if not path.is_file():
        expected.notes.append(f"{path}: split absent")
        return None
    try:
        if year == "2019":
            return davis_names(root, "2017", split, unsupervised=True)
        return davis_names(root, "2017" if year == "2017" else "2016", split, year if year.endswith("p") else "480p")
    except VOSError as error:
        expected.problems.append(Problem.of(path, error))
        return None


def _davis_sequence(
    root: Path, year: str, split: str, resolution: str, name: str, expected: Expectations
) -> ExpectedSequence | None:
    frames = root / "JPEGImages" / resolution / name
    if not expected.folder(frames, name):
        return None
    first_only = split.startswith("test")
    masks: Path | None = root / ("Annotations_unsupervised" if year == "2019" else "Annotations") / resolution / name
    if year == "2019" and not masks.is_dir():  # type: ignore[union-attr]
        masks = None  # the unsupervised test sets come without masks
    elif not expected.folder(masks, name):  # type: ignore[arg-type]
        masks = None
    try:
        names = _counted_names(frames, masks)
    except VOSError as error:
        expected.problems.append(Problem.of(frames, error))
        return None
    annotated = frozenset(sorted(names)[:1]) if first_only else None
    return ExpectedSequence(frames, masks, names, annotated, void_is_foreground=year not in ("2017", "2019"))


def _counted_names(frames: Path, masks: Path | None) -> frozenset[str]:
    """DAVIS counts its frames from 00000 without gaps: every number up to the last file's must be there."""
    stems = [path.stem for path in list_files(frames, IMAGE_SUFFIXES)]
    if masks is not None:
        stems += [path.stem for path in list_files(masks, {".png"})]
    numbers = [int(stem) for stem in stems if stem.isdigit()]
    return frozenset(f"{number:05d}" for number in range(max(numbers, default=-1) + 1))


def youtube_vos_expectations(root: Path) -> Expectations:
    """Sequences of all splits of a YouTube-VOS tree, by their meta.json.

    Raises:
        DatasetNotFoundError: not one split is there.
    """
    expected = Expectations()
    bases = [base for base in (root, root / "2018", root / "2019") if any((base / s).is_dir() for s in _YOUTUBE_SPLITS)]
    if not bases:
        raise DatasetNotFoundError(
            f"{root}: no split of YouTube-VOS in it; a tree has {root}/train, {root}/valid, each with JPEGImages, "
            "Annotations and meta.json"
        )
    for base in bases:
        for split in _YOUTUBE_SPLITS:
            if (base / split).is_dir():
                _youtube_split(base / split, split, expected)
            else:
                expected.notes.append(f"{base / split}: split absent")
    return expected


def _youtube_split(folder: Path, split: str, expected: Expectations) -> None:
    try:
        videos = read_meta(folder / "meta.json")
    except VOSError as error:
        expected.problems.append(Problem.of(folder / "meta.json", error))
        return
    expected.splits[split] = len(videos)
    releases = [year for year, counts in RELEASES.items() if counts.get(split) == len(videos)]
    if split in ("train", "valid") and not releases:
        counts = ", ".join(f"{year}: {counts[split]}" for year, counts in RELEASES.items())
        expected.notes.append(f"{folder}: {len(videos)} videos; the complete releases have {counts}")
    for video in videos:
        if not video.introduced:
            reason = f"no object of {video.name} enters in a frame; remove it, or add its objects"
            expected.problems.append(Problem.invalid(folder / "meta.json", reason))
        frames, masks = folder / "JPEGImages" / video.name, folder / "Annotations" / video.name
        if expected.folder(frames, video.name):
            there = masks if expected.folder(masks, video.name) else None
            expected.sequences.append(_youtube_sequence(frames, there, split, video))
    for every in (folder.parent / "all_frames" / f"{split}_all_frames", folder.parent / f"{split}_all_frames"):
        if every.is_dir():
            expected.splits[f"{split}, all frames"] = len(videos)
            for video in videos:
                frames = every / "JPEGImages" / video.name
                if expected.folder(frames, video.name):
                    expected.sequences.append(ExpectedSequence(frames, None, frozenset(video.required)))
    on_disk = {path.name for path in (folder / "JPEGImages").glob("*") if path.is_dir()}
    extra = on_disk - {video.name for video in videos}
    expected.notes += [f"{folder / 'JPEGImages' / name}: not in meta.json" for name in sorted(extra)]


def _youtube_sequence(frames: Path, masks: Path | None, split: str, video: YouTubeVOSVideo) -> ExpectedSequence:
    return ExpectedSequence(
        frames,
        masks,
        frozenset(video.required),
        frozenset(video.required if split == "train" else video.introduced),
        frozenset(video.categories),
        {name: set(ids) for name, ids in video.introduced.items()},
    )
