"""A training copy of a dataset as tar shards, for machines that read it over a network."""

import hashlib
import json
import re
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from vos_lightning.data.layouts.names import video_names
from vos_lightning.data.tools.encoding import Encoding, encode_video
from vos_lightning.data.tools.output import check_prepared, prepared_folder
from vos_lightning.data.tools.prepare import PrepareReport, size_on_disk, stamp, training_videos
from vos_lightning.errors import ExhaustedError, VOSError
from vos_lightning.io.earlier import check_replaceable, is_table_of
from vos_lightning.io.files import atomic_path
from vos_lightning.io.frames import open_frames
from vos_lightning.io.progress import map_files

SHARD_LIST = "shards.json"

# what shards hold as their comment, and no other archive does
_STAMP = re.compile("[0-9a-f]{40}")


class _Video(NamedTuple):
    number: int
    path: Path
    name: str


class _Done(NamedTuple):
    """What became of a shard; `faults` are the videos left out and why."""

    kept: bool
    frames: int
    faults: list[tuple[str, str]]


def prepare_shards(
    root: str | Path,
    output: str | Path,
    shards: int,
    format: str = "videos",
    encoding: Encoding | None = None,
    threads: int | None = None,
    report: Callable[[str, str], None] | None = None,
) -> PrepareReport:
    """Write the training videos of a dataset as WebDataset shards, for `ShardDataModule`.

    A shard holds ``KEY.mp4`` and ``KEY.json`` (name, num_frames, fps) of each video; videos are dealt out in turn, so
    shards are of equal length. Shards are written whole or not at all; those that are there, whole, of the videos as
    they are now and without any that can be read by now are kept; the list of shards is written last.

    Args:
        root: the dataset.
        output: folder to write to, new, empty, or of an earlier call.
        shards: how many; a multiple of ranks times workers keeps all of them busy.
        format: as for `training_videos`.
        encoding: of the videos.
        threads: shards at a time; None takes two per core.
        report: called with the path and the reason of every video that can't be read.

    Raises:
        VOSError: fewer videos than shards, another number of shards in `output`, or it can't be used, see
            `prepared_folder`, or not be written to.
    """
    root, output, encoding = Path(root), Path(output), encoding or Encoding()
    paths, base = training_videos(root, format)
    if not 1 <= shards <= len(paths):
        raise VOSError(f"shards={shards}: from 1 to {len(paths)}, the number of videos in {root}")
    videos = [_Video(*video) for video in zip(range(len(paths)), paths, video_names(paths, base), strict=True)]
    targets = [output / f"shard-{number:05d}-of-{shards:05d}.tar" for number in range(shards)]

    def work(number: int) -> _Done:
        return _shard(targets[number], videos[number::shards], encoding)

    result = PrepareReport(str(output))
    with prepared_folder(output, encoding, root, paths):
        check_replaceable(output / SHARD_LIST, lambda content: is_table_of(content, {"shards"}))
        if any(path not in targets for path in output.glob("shard-*.tar")):
            raise VOSError(f"{output}: holds another number of shards than {shards}; choose another folder")
        counts = {}
        for target, done in zip(
            targets, map_files(work, range(shards), f"writing {shards} shards", threads), strict=True
        ):
            counts[target.name] = len(_numbers(target))
            result.kept += counts[target.name] if done.kept else 0
            result.written += 0 if done.kept else counts[target.name]
            result.frames += done.frames
            result.faults += done.faults
            if report is not None:
                for path, reason in done.faults:
                    report(path, reason)
        with atomic_path(output / SHARD_LIST) as temporary:
            temporary.write_text(json.dumps({"shards": counts}, indent=1), encoding="utf-8")
    result.bytes_before = sum(size_on_disk(path) for path in paths)
    result.bytes_after = sum(target.stat().st_size for target in targets)
    return result


def _shard(target: Path, videos: list[_Video], encoding: Encoding) -> _Done:
    """Keep or write one shard."""
    origin = _shard_stamp(videos)
    if _origin(target) != origin:
        check_prepared(target, _is_shard(target))
        return _write_shard(target, videos, encoding, origin)
    there = _numbers(target)
    faults = []
    with tempfile.TemporaryDirectory(prefix=".shard-", dir=target.parent) as folder:
        for video in videos:
            if video.number not in there:
                try:
                    encode_video(open_frames(video.path), Path(folder) / "trial.mp4", encoding)
                except ExhaustedError:
                    raise
                except VOSError as error:
                    faults.append((str(video.path), str(error)))
                else:  # what hindered it is gone
                    return _write_shard(target, videos, encoding, origin)
    return _Done(True, 0, faults)


def _numbers(shard: Path) -> set[int]:
    """Numbers of the videos in a shard."""
    with tarfile.open(shard, "r:") as tar:
        return {int(Path(name).stem) for name in tar.getnames() if name.endswith(".mp4")}


def _shard_stamp(videos: list[_Video]) -> str:
    """Tells whether a shard is of these videos as they are now."""
    stamps = json.dumps([(video.number, video.name, stamp(video.path)) for video in videos])
    return hashlib.sha1(stamps.encode(), usedforsecurity=False).hexdigest()


def _origin(target: Path) -> str | None:
    """The stamp that a shard was made with; None if there is no shard, or a broken one."""
    try:
        with tarfile.open(target, "r:") as tar:
            tar.getnames()
            return tar.pax_headers.get("comment")
    except (tarfile.TarError, OSError):
        return None


def _anonymous(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    """Without owner and date: the same videos give the same file."""
    entry.uid = entry.gid = entry.mtime = 0
    entry.uname = entry.gname = ""
    return entry


def _is_shard(target: Path) -> bool:
    """Whether a file begins as a shard does, be it cut off later."""
    try:
        with tarfile.open(target, "r:") as tar:
            return _STAMP.fullmatch(tar.pax_headers.get("comment", "")) is not None
    except (tarfile.TarError, OSError):
        return False


def _write_shard(target: Path, videos: list[_Video], encoding: Encoding, origin: str) -> _Done:
    frames, faults = 0, []
    with (
        tempfile.TemporaryDirectory(prefix=".shard-", dir=target.parent) as name,
        atomic_path(target) as temporary,
        tarfile.open(temporary, "w", pax_headers={"comment": origin}) as tar,
    ):
        folder = Path(name)
        for video in videos:
            key = f"{video.number:08d}"
            try:
                source = open_frames(video.path)
                encode_video(source, folder / f"{key}.mp4", encoding)
            except ExhaustedError:
                raise
            except VOSError as error:
                faults.append((str(video.path), str(error)))
                continue
            facts = {"name": video.name, "num_frames": len(source), "fps": source.fps}
            (folder / f"{key}.json").write_text(json.dumps(facts), encoding="utf-8")
            for suffix in ("json", "mp4"):
                tar.add(folder / f"{key}.{suffix}", f"{key}.{suffix}", filter=_anonymous)
                (folder / f"{key}.{suffix}").unlink()
            frames += len(source)
    return _Done(False, frames, faults)
