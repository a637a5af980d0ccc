"""A copy of a dataset that is quick to train on: one small video per video, with key frames close together."""

import errno
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import av
from av.error import FFmpegError

from vos_lightning.data.layouts.davis import davis_names, davis_year
from vos_lightning.data.layouts.folders import find_videos
from vos_lightning.data.layouts.index import holds_masks
from vos_lightning.data.layouts.names import video_names
from vos_lightning.data.layouts.youtube_vos import frames_folder
from vos_lightning.data.tools.encoding import Encoding, encode_video
from vos_lightning.data.tools.output import check_prepared, copy_path, prepared_folder
from vos_lightning.errors import ExhaustedError, VOSError
from vos_lightning.io.files import UnwritableError, atomic_path, list_files, unwritable
from vos_lightning.io.frame_folder import IMAGE_SUFFIXES
from vos_lightning.io.frames import open_frames
from vos_lightning.io.progress import map_files

FORMATS = ("videos", "kinetics", "youtube-vos", "davis")

# what copies hold as their comment, and no other video does
_STAMP = re.compile("[0-9]+ bytes, [0-9]+ ns")

# why a file can't be written under its name, though others can
_NAME_FAILS = (errno.ENAMETOOLONG, errno.EILSEQ, errno.EINVAL, errno.EEXIST, errno.ENOTDIR, errno.EISDIR)


@dataclass
class PrepareReport:
    """What a preparation did; sizes in bytes, of what is prepared now and of what it was made from."""

    output: str
    written: int = 0
    kept: int = 0
    frames: int = 0
    bytes_before: int = 0
    bytes_after: int = 0
    faults: list[tuple[str, str]] = field(default_factory=list)

    def summary(self) -> str:
        """One line for people."""
        before, after = self.bytes_before / 1e6, self.bytes_after / 1e6
        share = after / before if before else 0.0
        saved = f"{1 - share:.0%} less" if share <= 1 else f"{share:.1f} times as much"
        return (
            f"{self.output}: {self.written} videos written, {self.kept} kept, {len(self.faults)} left out; "
            f"{after:.1f} MB instead of {before:.1f} MB, {saved}"
        )


def training_videos(root: str | Path, format: str) -> tuple[list[Path], Path]:
    """The videos a dataset trains on, and the folder that their names are relative to.

    Args:
        root: of the dataset.
        format: "videos" or "kinetics" (every video below `root`, without folders of masks), "youtube-vos" or "davis"
            (the training split).

    Raises:
        DatasetNotFoundError: the folder isn't of that layout.
        VOSError: unknown format.
    """
    if format not in FORMATS:
        raise VOSError(f"format={format!r}: one of {', '.join(FORMATS)}")
    root = Path(root)
    if format == "youtube-vos":
        # both releases have the same training videos; a folder per release may hold them
        year = "2019" if (root / "2019").is_dir() else "2018"
        folder = frames_folder(root, year, "train", all_frames=False)
        return find_videos(folder), folder
    if format == "davis":
        folder = root / "JPEGImages" / "480p"
        return [folder / name for name in davis_names(root, davis_year(root), "train")], folder
    return [path for path in find_videos(root) if not holds_masks(path)], root


def prepare_dataset(
    root: str | Path,
    output: str | Path,
    format: str = "videos",
    encoding: Encoding | None = None,
    threads: int | None = None,
    report: Callable[[str, str], None] | None = None,
) -> PrepareReport:
    """Write a training copy of a dataset, one mp4 per video, for `VideoFolderDataModule`.

    Every file is written whole or not at all. Copies that are there, can be opened and were made of the video as it is
    now are kept: call it again after an interruption.

    Args:
        root: the dataset.
        output: folder to write to, new, empty, or of an earlier call.
        format: as for `training_videos`.
        encoding: of the copies.
        threads: videos at a time; None takes two per core.
        report: called with the path and the reason of every video that can't be read.

    Raises:
        VOSError: `output` can't be used, see `prepared_folder`, or not be written to, as on a full disk.
    """
    root, output, encoding = Path(root), Path(output), encoding or Encoding()
    paths, base = training_videos(root, format)
    result = PrepareReport(str(output))

    def work(video: tuple[Path, str]) -> tuple[str, int, int, int] | VOSError:
        path, name = video
        try:
            return _prepare(path, copy_path(output, name), encoding)
        except ExhaustedError:
            raise
        except UnwritableError as error:
            if getattr(error.__cause__, "errno", None) not in _NAME_FAILS:
                raise
            return error
        except VOSError as error:
            return error

    videos = list(zip(paths, video_names(paths, base), strict=True))
    with prepared_folder(output, encoding, root, paths):
        for path, done in zip(paths, map_files(work, videos, f"preparing {len(paths)} videos", threads), strict=True):
            if isinstance(done, VOSError):
                result.faults.append((str(path), str(done)))
                if report is not None:
                    report(str(path), str(done))
                continue
            verb, frames, before, after = done
            result.written += verb == "written"
            result.kept += verb == "kept"
            result.frames += frames
            result.bytes_before += before
            result.bytes_after += after
    return result


def _prepare(path: Path, target: Path, encoding: Encoding) -> tuple[str, int, int, int]:
    source, size, origin = open_frames(path), size_on_disk(path), stamp(path)
    found = _origin(target)
    if found == origin:
        return "kept", len(source), size, target.stat().st_size
    check_prepared(target, found is not None and _STAMP.fullmatch(found) is not None)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(target, error) from error
    with atomic_path(target) as temporary:
        encode_video(source, temporary, encoding, origin)
    return "written", len(source), size, target.stat().st_size


def size_on_disk(path: Path) -> int:
    """Bytes of a file, or of the files of a folder."""
    return sum(file.stat().st_size for file in _files(path))


def stamp(path: Path) -> str:
    """Size and last change of a video, to tell whether a copy is of it as it is now; it matches `_STAMP`."""
    changes = [file.stat().st_mtime_ns for file in (path, *_files(path)) if file.exists()]
    return f"{size_on_disk(path)} bytes, {max(changes, default=0)} ns"


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        return list_files(path, IMAGE_SUFFIXES)
    return [path] if path.is_file() else []


def _origin(target: Path) -> str | None:
    """The stamp that a copy was made with; None if there is no copy, or a broken one."""
    try:
        with av.open(str(target.absolute())) as container:
            origin: str | None = container.metadata.get("comment")
            return origin
    except (FFmpegError, OSError, ValueError):
        return None
