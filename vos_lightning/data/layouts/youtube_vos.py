"""The YouTube-VOS layout: meta.json, objects that enter late, frames to write, sampled and full frame rates."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vos_lightning.data.layouts.names import object_id, other_root, plain_name
from vos_lightning.data.layouts.sequences import SequenceRecord
from vos_lightning.errors import CorruptFileError, DatasetNotFoundError, VOSError
from vos_lightning.io.limits import check_regular

YEARS = ("2018", "2019")

# videos of each release, by split: a tree of the other release is a common mix-up and gives incomparable scores
RELEASES = {"2018": {"train": 3471, "valid": 474}, "2019": {"train": 3471, "valid": 507}}


@dataclass(frozen=True)
class YouTubeVOSVideo:
    """What meta.json says of one video.

    Args:
        name: of the video.
        introduced: names of the frames that introduce objects, in order, with the ids each introduces.
        required: names of the frames whose masks are evaluated, in order.
        categories: category of each id.
    """

    name: str
    introduced: dict[str, list[int]]
    required: list[str]
    categories: dict[int, str]


def split_folder(root: str | Path, year: str, split: str) -> Path:
    """The folder that holds a split's meta.json: ``ROOT/valid``, ``ROOT/2018/valid`` or `root` itself.

    Raises:
        DatasetNotFoundError: none of them has it.
        VOSError: unknown year.
    """
    if year not in YEARS:
        raise VOSError(f"year={year!r}: one of {', '.join(YEARS)}")
    root = Path(root)
    candidates = [root / split, root / year / split, root]
    for folder in candidates:
        if (folder / "JPEGImages").is_dir():
            return folder
    raise DatasetNotFoundError(_tree(root, split, candidates[0] / "JPEGImages"))


def frames_folder(root: str | Path, year: str, split: str, all_frames: bool) -> Path:
    """The folder of a split's videos, at 6 frames per second as annotated or at all 30.

    Raises:
        DatasetNotFoundError: it is missing.
    """
    if not all_frames:
        return split_folder(root, year, split) / "JPEGImages"
    root, name = Path(root), f"{split}_all_frames"
    candidates = [
        base / name / "JPEGImages" for base in (root / "all_frames", root, root / year / "all_frames", root / year)
    ]
    for folder in candidates:
        if folder.is_dir():
            return folder
    raise DatasetNotFoundError(_tree(root, split, candidates[0]))


def read_meta(path: str | Path) -> list[YouTubeVOSVideo]:
    """Read a meta.json.

    Raises:
        DatasetNotFoundError: no such file.
        CorruptFileError: not JSON, or not of this shape.
        VOSError: a name that can't be one, or an id that isn't from 1 to 254.
    """
    path = Path(path)
    check_regular(path)
    try:
        videos: dict[str, Any] = json.loads(path.read_bytes())["videos"]
        return [_video(plain_name(name, path), entry["objects"], path) for name, entry in videos.items()]
    except VOSError:
        raise
    except OSError as error:
        raise DatasetNotFoundError(f"{path}: can't read it ({error.strerror}); unpack the split's meta.json") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise CorruptFileError(f"{path}: no YouTube-VOS meta.json ({error!r}); unpack it again") from error


def _video(name: str, objects: dict[str, Any], path: Path) -> YouTubeVOSVideo:
    introduced: dict[str, list[int]] = {}
    required: set[str] = set()
    categories: dict[int, str] = {}
    for key, entry in objects.items():
        number = object_id(key, path)
        categories[number] = str(entry.get("category", ""))
        # sorted: the first frame by name introduces the object, whatever the order of the file
        frames = sorted(plain_name(frame, path) for frame in entry["frames"])
        if frames:
            introduced.setdefault(frames[0], []).append(number)
            required.update(frames)
    return YouTubeVOSVideo(
        name,
        {frame: sorted(introduced[frame]) for frame in sorted(introduced)},
        sorted(required),
        categories,
    )


def youtube_vos_sequences(
    root: str | Path,
    year: str = "2018",
    split: str = "valid",
    all_frames: bool = False,
    sequences: Sequence[str] | None = None,
) -> list[SequenceRecord]:
    """The evaluation sequences of a split, checked to be there.

    Args:
        root: the folder that holds ``train``, ``valid`` and, unpacked beside them, ``all_frames``.
        year: "2018" or "2019".
        split: "valid", "test", or "train", whose masks are ground truth.
        all_frames: track through all 30 frames per second; the frames to write stay those of the annotation.
        sequences: only these.

    Raises:
        DatasetNotFoundError: something of the tree is missing.
        VOSError: a name in `sequences` that the split doesn't have.
    """
    folder, frames = split_folder(root, year, split), frames_folder(root, year, split, all_frames)
    videos = {video.name: video for video in read_meta(folder / "meta.json")}
    unknown = sorted(set(sequences or ()) - set(videos))
    if unknown:
        raise VOSError(f"{', '.join(unknown)}: not among the {len(videos)} videos of {folder / 'meta.json'}")
    records = []
    for name in sequences or sorted(videos):
        video = videos[name]
        for part in (frames / name, folder / "Annotations" / name):
            if not part.is_dir():
                raise DatasetNotFoundError(_tree(Path(root), split, part))
        records.append(
            SequenceRecord(
                name,
                frames / name,
                folder / "Annotations" / name,
                scored=split == "train",
                prompts=video.introduced,
                required=tuple(video.required),
                categories=video.categories,
            )
        )
    return records


def other_release(year: str, split: str, count: int) -> str | None:
    """The release whose split has exactly `count` videos, if that isn't the one of `year`."""
    if RELEASES[year].get(split) == count:
        return None
    return next((other for other, splits in RELEASES.items() if splits.get(split) == count), None)


def _tree(root: Path, split: str, missing: Path) -> str:
    return (
        f"{missing}: missing; {other_root(root, split)}a YouTube-VOS tree has "
        f"{root}/{split}/JPEGImages/VIDEO/00000.jpg, "
        f"{root}/{split}/Annotations/VIDEO/00000.png, {root}/{split}/meta.json, "
        f"and {root}/all_frames/{split}_all_frames/JPEGImages for all frames"
    )
