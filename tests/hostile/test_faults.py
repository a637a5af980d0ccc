"""Full disks, vanishing files, killed processes: told in one line, and no half file looks whole."""

import os
import re
import resource
import signal
import subprocess
import sys
import time
from multiprocessing import active_children

import numpy as np
import pytest
import torch
from PIL import Image

from vos_lightning.callbacks.checkpoints.files import AtomicCheckpointIO
from vos_lightning.cli import main
from vos_lightning.data.clips.dataset import ClipDataset, collate_clips
from vos_lightning.data.clips.loading import ClipLoader
from vos_lightning.data.clips.sampling import ClipSampler, ClipSampling
from vos_lightning.data.clips.worker_errors import dead_worker, plain_worker_errors
from vos_lightning.data.layouts.index import VideoRecord, index_videos
from vos_lightning.data.shards.writing import prepare_shards
from vos_lightning.data.tools.audit import audit_dataset
from vos_lightning.data.tools.encoding import Encoding
from vos_lightning.data.tools.prepare import prepare_dataset
from vos_lightning.errors import VOSError
from vos_lightning.evaluation import workers
from vos_lightning.io.files import UnwritableError
from vos_lightning.io.frames import open_frames
from vos_lightning.io.masks import read_mask, write_mask
from vos_lightning.io.writers import MaskWriter, VideoWriter


def run(capsys, *arguments):
    """Exit code and stderr of a command in this process."""
    code = main([str(argument) for argument in arguments])
    return code, capsys.readouterr().err


def whole(folder):
    """Every file that bears a final name can be read."""
    for path in folder.rglob("*"):
        if path.is_file() and not path.name.startswith("."):
            if path.suffix == ".png":
                read_mask(path)
            elif path.suffix == ".mp4":
                assert sum(1 for _ in open_frames(path).intact()) > 0
    return True


@pytest.mark.parametrize("kilobytes", [8, 200])
def test_masks_on_a_full_disk(small_disk, noise, kilobytes):
    disk = small_disk(kilobytes)

    def fill():
        with MaskWriter(disk / "masks") as writer:
            for index, frame in enumerate(noise(60)):
                writer.write(f"{index:05d}", frame[..., 0])

    with pytest.raises(VOSError, match=r"\d+\.png: cannot be written \(No space left"):
        fill()
    assert whole(disk)
    assert not list(disk.rglob("*.tmp"))
    assert len(list(disk.rglob("*.png"))) < 60


@pytest.mark.parametrize("kilobytes", [4, 100])
def test_a_video_on_a_full_disk(small_disk, noise, kilobytes):
    disk = small_disk(kilobytes)

    def fill():
        with VideoWriter(disk / "a.mp4", 9) as writer:
            for frame in noise(40, 128, 128):
                writer.write(frame)

    with pytest.raises(VOSError, match=r"a\.mp4: cannot be written \(No space left"):
        fill()
    assert list(disk.iterdir()) == []


@pytest.mark.parametrize("shards", [None, 2])
def test_prepare_on_a_full_disk_stops_and_goes_on_with_space(small_disk, videos, tmp_path, shards):
    disk = small_disk(200)

    def prepare(output):
        if shards is None:
            return prepare_dataset(videos, output, encoding=Encoding(128), threads=1)
        return prepare_shards(videos, output, shards, encoding=Encoding(128), threads=1)

    with pytest.raises(UnwritableError, match=r"cannot be written \(No space left on device\); free space"):
        prepare(disk / "copy")
    assert whole(disk)
    assert not [path for path in disk.rglob(".*") if path.is_file()]
    subprocess.run(["mount", "-o", "remount,size=9000k", str(disk)], check=True)
    prepare(disk / "copy")
    prepare(tmp_path / "unbroken")
    names = sorted(path.name for path in (tmp_path / "unbroken").iterdir())
    assert sorted(path.name for path in (disk / "copy").iterdir()) == names
    for name in names:
        assert (disk / "copy" / name).read_bytes() == (tmp_path / "unbroken" / name).read_bytes()


@pytest.mark.parametrize("target", ["out", "out.zip"])
def test_export_on_a_full_disk_leaves_nothing(small_disk, masks, capsys, target):
    disk = small_disk(24)
    code, err = run(capsys, "export", masks / "results", disk / target, "--workers", 1)
    assert (code, err.count("\n")) == (2, 1)
    assert "No space left" in err
    assert list(disk.iterdir()) == []


def test_a_checkpoint_on_a_full_disk_keeps_the_old_one(small_disk):
    disk, writer = small_disk(100), AtomicCheckpointIO()
    writer.save_checkpoint({"state_dict": {}}, disk / "last.ckpt")
    before = (disk / "last.ckpt").read_bytes()
    with pytest.raises(UnwritableError, match=r"last\.ckpt: cannot be written \(No space left on device\)"):
        writer.save_checkpoint({"state_dict": {"a": torch.zeros(100_000)}}, disk / "last.ckpt")
    assert [path.name for path in disk.iterdir()] == ["last.ckpt"]
    assert (disk / "last.ckpt").read_bytes() == before


COLUMNS = "sequence,object,J&F-Mean,J-Mean,J-Recall,J-Decay,F-Mean,F-Recall,F-Decay\n"


@pytest.mark.parametrize("kind", ["json", "csv", "html"])
def test_a_report_on_a_full_disk_keeps_the_old_one(small_disk, masks, capsys, kind):
    disk = small_disk(8)
    old = disk / f"report.{kind}"
    text = {"json": '{"mean": {}, "per_object": []}', "csv": COLUMNS, "html": "<title>J&amp;F of masks"}[kind]
    old.write_text(text)
    (disk / "filler").write_bytes(bytes(4000))
    arguments = [masks / "results", "--annotations", masks / "truth", f"--{kind}", old]
    code, err = run(capsys, "evaluate", *arguments)
    assert (code, err.count("\n")) == (2, 1), err
    assert f"report.{kind}: cannot be written (No space left" in err
    assert old.read_text() == text
    assert sorted(path.name for path in disk.iterdir()) == ["filler", old.name]


def test_an_index_on_a_full_disk_costs_nothing_but_time(small_disk, videos, monkeypatch):
    disk = small_disk(4)
    (disk / "filler").write_bytes(bytes(4096))
    monkeypatch.setenv("XDG_CACHE_HOME", str(disk))
    assert len(index_videos(sorted(videos.iterdir()), videos).videos) == 6


READ_ONLY = {
    "evaluate": lambda data, out: ["evaluate", data / "results", "--annotations", data / "truth", "--json", out / "a"],
    "export": lambda data, out: ["export", data / "results", out / "a.zip"],
    "export folder": lambda data, out: ["export", data / "results", out / "a"],
    "prepare": lambda data, out: ["prepare", data / "videos", out / "copy"],
    "prepare shards": lambda data, out: ["prepare", data / "videos", out / "copy", "--shards", 2],
    "audit": lambda data, out: ["audit", data / "videos", "--format", "videos", "--json", out / "a.json"],
}


@pytest.mark.parametrize("arguments", READ_ONLY.values(), ids=READ_ONLY)
def test_read_only_outputs_are_named_in_one_line(small_disk, masks, videos, capsys, arguments):
    code, err = run(capsys, *arguments(masks, small_disk(8, ",ro")))
    assert (code, err.count("\n")) == (2, 1), err
    assert "disk0" in err


def test_quotas_are_full_disks(tmp_path):
    """A limit on the size of files, as of some clusters, in a process of its own."""
    code = (
        "import numpy as np, sys\nfrom vos_lightning.io.writers import VideoWriter\n"
        "frames = np.random.default_rng(0).integers(0, 255, (60, 96, 96, 3), dtype=np.uint8)\n"
        "with VideoWriter(sys.argv[1], 10) as writer:\n    for frame in frames: writer.write(frame)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "a.mp4")],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (30000, 30000)),
    )
    assert "a.mp4: cannot be written (File too large); free space" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_frames_that_vanish_while_they_are_read(tmp_path, noise):
    for index, frame in enumerate(noise(6)):
        Image.fromarray(frame).save(tmp_path / f"{index}.png")
    source = open_frames(tmp_path)
    frames = iter(source)
    next(frames)
    (tmp_path / "3.png").unlink()
    next(frames), next(frames)
    with pytest.raises(VOSError, match=r"3\.png: this frame cannot be decoded \(.*No such file"):
        next(frames)


def test_a_video_that_vanishes_is_a_clip_left_out(videos):
    index = index_videos(sorted(videos.iterdir()), videos)
    dataset = ClipDataset(index.videos, ClipSampling(2), 32)
    (videos / "2.mp4").unlink()
    batch = collate_clips(dataset.__getitems__(range(6)))
    assert len(batch["sequence"]) == 5
    assert [clip.sequence for clip in batch["skipped"]] == ["2"]
    assert "2.mp4" in batch["skipped"][0].reason


def test_a_video_that_vanishes_from_under_prepare_is_left_out(videos, tmp_path, monkeypatch):
    def gone(path):
        (videos / "4.mp4").unlink(missing_ok=True)
        return open_frames(path)

    monkeypatch.setattr("vos_lightning.data.tools.prepare.open_frames", gone)
    report = prepare_dataset(videos, tmp_path / "copy", encoding=Encoding(64), threads=1)
    assert report.written == 5
    assert [path for path, _ in report.faults] == [str(videos / "4.mp4")]
    assert "0 videos written" not in report.summary()


def test_a_folder_where_nothing_can_be_read_is_summed_up(tmp_path):
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "a.mp4").write_bytes(b"no video")
    report = prepare_dataset(tmp_path / "videos", tmp_path / "copy")
    assert "0 videos written, 0 kept, 1 left out" in report.summary()
    assert audit_dataset(tmp_path / "videos", "videos").exit_code == 1


def _die(_):
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_killed_scorer_is_told_in_a_line():
    with pytest.raises(VOSError, match=r"a worker process was killed.*--workers 1"):
        list(workers.parallel_map(_die, range(4), 2))


class Killed(ClipDataset):
    """Its loader process is killed by the system."""

    def __getitems__(self, keys):
        os.kill(os.getpid(), signal.SIGKILL)
        return []


class Unreadable(ClipDataset):
    """Not one video can be read."""

    def _draw(self, key, video):
        raise VOSError(f"{video.path}: can't be read")


def loader(kind):
    dataset = kind([VideoRecord("a.mp4", "a", 10, 10.0)] * 4, ClipSampling(2), 32)
    return ClipLoader(dataset, batch_size=2, num_workers=1, sampler=ClipSampler(dataset), collate_fn=collate_clips)


@pytest.mark.filterwarnings("ignore:.*worker processes in total")
def test_a_killed_loader_is_told_in_a_line():
    with pytest.raises(VOSError, match=r"a loader process ended unexpectedly.*num_workers"):
        list(loader(Killed))
    deadline = time.monotonic() + 1800
    while active_children() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not active_children()


@pytest.mark.filterwarnings("ignore:.*worker processes in total")
def test_errors_of_loaders_come_without_their_traceback():
    with pytest.raises(VOSError, match=r"^a: a\.mp4: can't be read; 101 videos in a row can't be read$"):
        list(loader(Unreadable))


def test_other_errors_of_loaders_stay_as_they_are():
    def fail(error):
        raise error
        yield

    with pytest.raises(RuntimeError, match="CUDA"):
        list(plain_worker_errors(fail(RuntimeError("CUDA out of memory"))))
    with pytest.raises(KeyError):
        list(plain_worker_errors(fail(KeyError("a"))))


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (
            RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed. "),
            r"\(pid 7, Killed\).*--ckpt_path last",
        ),
        (RuntimeError("DataLoader worker (pid 7) is killed by signal: Bus error. It is"), "Bus error.*--shm-size"),
        (RuntimeError("DataLoader worker (pid(s) 7, 8) exited unexpectedly"), r"\(pid 7, 8\)"),
        (MemoryError("Caught MemoryError in DataLoader worker process 0.\nOriginal"), "ran out of memory"),
        (RuntimeError("Caught RuntimeError in DataLoader worker process 0.\n can't allocate memory"), "ran out of"),
        (
            RuntimeError(
                "Caught RuntimeError in DataLoader worker process 0.\nOriginal\n"
                "unable to allocate shared memory(shm) for file </torch_1_2>: No space left on device (28)"
            ),
            "ran out of shared memory .*--shm-size",
        ),
        (EOFError("Caught EOFError in pin memory thread for device 0.\nOriginal"), "ended unexpectedly,"),
        (RuntimeError("CUDA out of memory"), None),
        (ConnectionResetError("of the tracker of experiments"), None),
        (ValueError("Caught ValueError in DataLoader worker process 0.\nOriginal"), None),
    ],
)
def test_what_becomes_of_a_dead_loader(error, told):
    def wrapped():
        try:
            raise error
        except type(error):
            raise KeyError("met while cleaning up")  # noqa: B904

    with pytest.raises(KeyError) as outer:
        wrapped()
    for one in (error, outer.value):
        line = dead_worker(one)
        assert line is None if told is None else re.search(told, line)
        assert "\n" not in (line or "")


@pytest.mark.filterwarnings("ignore:.*worker processes in total")
@pytest.mark.parametrize("kind", [ConnectionResetError, EOFError])
def test_a_batch_cut_off_on_its_way_is_a_dead_loader(monkeypatch, kind):
    def cut_off(*_, **__):
        raise kind

    monkeypatch.setattr("torch.utils.data.dataloader._MultiProcessingDataLoaderIter._try_get_data", cut_off)
    with pytest.raises(VOSError, match="a loader process ended unexpectedly"):
        list(loader(Unreadable))


def test_masks_survive_their_readers(tmp_path):
    """An old mask stays readable for as long as somebody has it open, whatever replaces it."""
    write_mask(tmp_path / "a.png", np.ones((4, 4), np.uint8))
    with (tmp_path / "a.png").open("rb") as file:
        write_mask(tmp_path / "a.png", np.full((4, 4), 2, np.uint8))
        assert np.asarray(Image.open(file)).max() == 1
    assert read_mask(tmp_path / "a.png").max() == 2
