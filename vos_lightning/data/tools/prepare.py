"""A copy of a dataset that is quick to train on: one small video per video, with key frames close together."""

import errno
import json
import re
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from pathlib import Path

import av
from av.error import FFmpegError

from vos_lightning.data.layouts.davis import davis_names, davis_year
from vos_lightning.data.layouts.folders import find_videos
from vos_lightning.data.layouts.index import holds_masks
from vos_lightning.data.layouts.names import video_names
from vos_lightning.data.layouts.youtube_vos import frames_folder
from vos_lightning.data.progress import map_files
from vos_lightning.errors import VOSError
from vos_lightning.io.files import UnwritableError, atomic_path, list_files
from vos_lightning.io.frame_folder import IMAGE_SUFFIXES
from vos_lightning.io.frame_source import FrameSource, scaled_size
from vos_lightning.io.frames import open_frames

FORMATS = ("videos", "kinetics", "youtube-vos", "davis")
_MANIFEST = "prepared.json"
_OUTPUT_FAILS = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS, errno.EACCES, errno.ENOENT))

# what a killed run leaves behind: temporary files, and folders of shards in the making
_LEFTOVERS = re.compile(r"\..+\.[0-9]+-[0-9]+\.tmp|\.shard-[^.]+")


@dataclass(frozen=True)
class Encoding:
    """How prepared videos are encoded.

    Args:
        short_side: in pixels; smaller videos keep their size.
        gop: frames from one key frame to the next; a clip decodes half as many for nothing.
        crf: quality of H.264, 0 to 51, lower is better and larger.
    """

    short_side: int = 256
    gop: int = 8
    crf: int = 20

    def __post_init__(self) -> None:
        """Validate the options."""
        if self.short_side < 16 or self.gop < 1 or not 0 <= self.crf <= 51:
            raise VOSError(f"{self}: need short_side >= 16, gop >= 1 and crf from 0 to 51")


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

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        return asdict(self)


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
    now are kept: call it again after an interruption, but not twice at a time.

    Args:
        root: the dataset.
        output: folder to write to; made if missing.
        format: as for `training_videos`.
        encoding: of the copies.
        threads: videos at a time; None takes two per core.
        report: called with the path and the reason of every video that can't be read.

    Raises:
        VOSError: `output` holds videos of another encoding, lies in `root`, or can't be written to, as on a full disk.
    """
    root, output, encoding = Path(root), Path(output), encoding or Encoding()
    paths, base = training_videos(root, format)
    claim_folder(output, encoding, root)
    result = PrepareReport(str(output))

    def work(video: tuple[Path, str]) -> tuple[str, int, int, int] | VOSError:
        path, name = video
        try:
            return _prepare(path, output / f"{name}.mp4", encoding)
        except UnwritableError:
            raise
        except VOSError as error:
            return error

    videos = list(zip(paths, video_names(paths, base), strict=True))
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


def claim_folder(output: Path, encoding: Encoding, root: Path) -> None:
    """Make a folder for prepared videos, note their encoding in it, and remove what a killed run left there.

    Raises:
        VOSError: the folder holds videos of another encoding, or lies in the dataset.
    """
    if root.resolve() in (output.resolve(), *output.resolve().parents):
        raise VOSError(f"{output}: lies in {root}; choose a folder outside of the dataset")
    manifest, wanted = output / _MANIFEST, asdict(encoding)
    if manifest.is_file():
        try:
            found = json.loads(manifest.read_bytes())
        except (OSError, ValueError, RecursionError) as error:
            raise VOSError(f"{manifest}: can't be read ({error}); choose another folder") from error
        if found != wanted:
            raise VOSError(f"{manifest}: prepared with {found}, now {wanted} is asked for; choose another folder")
        for leftover in [path for path in output.rglob(".*") if _LEFTOVERS.fullmatch(path.name)]:
            shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink(missing_ok=True)
        return
    output.mkdir(parents=True, exist_ok=True)
    with atomic_path(manifest) as temporary:
        temporary.write_text(json.dumps(wanted), encoding="utf-8")


def _prepare(path: Path, target: Path, encoding: Encoding) -> tuple[str, int, int, int]:
    source, size, origin = open_frames(path), size_on_disk(path), stamp(path)
    if _origin(target) == origin:
        return "kept", len(source), size, target.stat().st_size
    target.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(target) as temporary:
        encode_video(source, temporary, encoding, origin)
    return "written", len(source), size, target.stat().st_size


def size_on_disk(path: Path) -> int:
    """Bytes of a file, or of the files of a folder."""
    return sum(file.stat().st_size for file in _files(path))


def stamp(path: Path) -> str:
    """Size and last change of a video, to tell whether a copy is of it as it is now."""
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


def encode_video(source: FrameSource, target: Path, encoding: Encoding, origin: str = "") -> None:
    """Write a video as mp4.

    Args:
        source: the video.
        target: file to write.
        encoding: how.
        origin: `stamp` of the source, kept as the file's comment.

    Raises:
        OSError: the file can't be written.
        VOSError: it can't be decoded or encoded, a frame is damaged, or its frames differ in size.
    """
    options = {
        "crf": str(encoding.crf),
        "g": str(encoding.gop),
        "bf": "0",
        "preset": "veryfast",
        # no deblocking and no arithmetic coding: half as long to decode, a tenth larger
        "tune": "fastdecode",
    }
    size: tuple[int, ...] | None = None
    try:
        with av.open(str(target), "w", format="mp4") as container:
            container.metadata["comment"] = origin
            rate = Fraction(source.fps).limit_denominator(1001)
            stream = container.add_stream("libx264", rate=rate, options=options)
            stream.codec_context.thread_count = 1
            for frame in source.intact():
                if size is None:
                    size = frame.shape
                    stream.height, stream.width = _even_size(frame.shape[0], frame.shape[1], encoding.short_side)
                    stream.pix_fmt = "yuv420p"
                if frame.shape != size:
                    raise VOSError(f"{source.path}: frames of {size[:2]} and of {frame.shape[:2]}; keep one size")
                picture = av.VideoFrame.from_ndarray(frame, format="rgb24")
                picture = picture.reformat(stream.width, stream.height, "yuv420p", interpolation="BILINEAR")
                container.mux(stream.encode(picture))
            container.mux(stream.encode(None))
    except FFmpegError as error:
        if error.errno in _OUTPUT_FAILS:
            raise OSError(error.errno, error.strerror) from error
        raise VOSError(f"{source.path}: can't be encoded ({error.strerror})") from error


def _even_size(height: int, width: int, short_side: int) -> tuple[int, int]:
    """Size after shrinking the short side to at most `short_side`; H.264 wants even sides."""
    height, width = scaled_size(height, width, min(height, width, short_side))
    return max(2, height // 2 * 2), max(2, width // 2 * 2)
