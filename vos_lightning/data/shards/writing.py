"""A training copy of a dataset as tar shards, for machines that read it over a network."""

import hashlib
import json
import shutil
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path

from vos_lightning.data.layouts.names import video_names
from vos_lightning.data.progress import map_files
from vos_lightning.data.tools.prepare import (
    Encoding,
    PrepareReport,
    claim_folder,
    encode_video,
    size_on_disk,
    stamp,
    training_videos,
)
from vos_lightning.errors import VOSError
from vos_lightning.io.files import atomic_path
from vos_lightning.io.frames import open_frames

SHARD_LIST = "shards.json"

# of a shard: frames, bytes of its sources, and the videos left out
_Done = tuple[int, int, list[tuple[str, str]]]

# number, path and name
_Video = tuple[int, Path, str]


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
    shards are of equal length. Shards are written whole or not at all; those that are there, whole and of the videos as
    they are now are kept; the list of shards is written last.

    Args:
        root: the dataset.
        output: folder to write to; made if missing.
        shards: how many; a multiple of ranks times workers keeps all of them busy.
        format: as for `training_videos`.
        encoding: of the videos.
        threads: shards at a time; None takes two per core.
        report: called with the path and the reason of every video that can't be read.

    Raises:
        VOSError: fewer videos than shards, another encoding or number of shards in `output`, or `output` in `root`.
    """
    root, output, encoding = Path(root), Path(output), encoding or Encoding()
    paths, base = training_videos(root, format)
    if not 1 <= shards <= len(paths):
        raise VOSError(f"shards={shards}: from 1 to {len(paths)}, the number of videos in {root}")
    claim_folder(output, encoding, root)
    targets = [output / f"shard-{number:05d}-of-{shards:05d}.tar" for number in range(shards)]
    if any(path not in targets for path in output.glob("shard-*.tar")):
        raise VOSError(f"{output}: holds another number of shards than {shards}; choose another folder")
    videos = list(zip(range(len(paths)), paths, video_names(paths, base), strict=True))
    origins = [_shard_stamp(videos[number::shards]) for number in range(shards)]
    kept = [target for target, origin in zip(targets, origins, strict=True) if _origin(target) == origin]

    def work(number: int) -> _Done:
        own = videos[number::shards]
        if targets[number] in kept:
            there = _numbers(targets[number])
            faults = [(str(path), f"{path}: left out of {targets[number]}") for n, path, _ in own if n not in there]
            return 0, sum(size_on_disk(path) for _, path, _ in own), faults
        return _write_shard(targets[number], own, encoding, origins[number])

    result = PrepareReport(str(output))
    for frames, before, faults in map_files(work, range(shards), f"writing {shards} shards", threads):
        result.frames += frames
        result.bytes_before += before
        result.faults += faults
        if report is not None:
            for path, reason in faults:
                report(path, reason)
    counts = {target.name: len(_numbers(target)) for target in targets}
    with atomic_path(output / SHARD_LIST) as temporary:
        temporary.write_text(json.dumps({"shards": counts}, indent=1), encoding="utf-8")
    result.kept = sum(counts[target.name] for target in kept)
    result.written = sum(counts.values()) - result.kept
    result.bytes_after = sum(target.stat().st_size for target in targets)
    return result


def _numbers(shard: Path) -> set[int]:
    """Numbers of the videos in a shard."""
    with tarfile.open(shard) as tar:
        return {int(Path(name).stem) for name in tar.getnames() if name.endswith(".mp4")}


def _shard_stamp(videos: list[_Video]) -> str:
    """Tells whether a shard is of these videos as they are now."""
    stamps = json.dumps([(number, name, stamp(path)) for number, path, name in videos])
    return hashlib.sha1(stamps.encode(), usedforsecurity=False).hexdigest()


def _origin(target: Path) -> str | None:
    """The stamp that a shard was made with; None if there is no shard, or a broken one."""
    try:
        with tarfile.open(target) as tar:
            tar.getnames()
            return tar.pax_headers.get("comment")
    except (tarfile.TarError, OSError):
        return None


def _anonymous(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    """Without owner and date: the same videos give the same file."""
    entry.uid = entry.gid = entry.mtime = 0
    entry.uname = entry.gname = ""
    return entry


def _write_shard(target: Path, videos: list[_Video], encoding: Encoding, origin: str) -> _Done:
    sizes = sum(size_on_disk(path) for _, path, _ in videos)
    frames, faults = 0, []
    folder = Path(tempfile.mkdtemp(prefix=".shard-", dir=target.parent))
    try:
        with atomic_path(target) as temporary, tarfile.open(temporary, "w", pax_headers={"comment": origin}) as tar:
            for number, path, name in videos:
                try:
                    source = open_frames(path)
                    encode_video(source, folder / f"{number:08d}.mp4", encoding)
                except VOSError as error:
                    faults.append((str(path), str(error)))
                    continue
                facts = {"name": name, "num_frames": len(source), "fps": source.fps}
                (folder / f"{number:08d}.json").write_text(json.dumps(facts), encoding="utf-8")
                for suffix in ("json", "mp4"):
                    tar.add(folder / f"{number:08d}.{suffix}", f"{number:08d}.{suffix}", filter=_anonymous)
                    (folder / f"{number:08d}.{suffix}").unlink()
                frames += len(source)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return frames, sizes, faults
