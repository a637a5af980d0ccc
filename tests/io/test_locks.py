"""One writer per folder: in one process, between processes, between machines."""

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time

import pytest

from vos_lightning.errors import VOSError
from vos_lightning.io import locks
from vos_lightning.io.locks import LOCK_NAME, FolderInUseError, FolderLock

HOLD = """
import signal, sys, time
from vos_lightning.io import locks
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where the tests run in the background
locks.HEARTBEAT = 0.1
lock = locks.FolderLock(sys.argv[1])
print("held", flush=True)
time.sleep(3600)
"""


@pytest.fixture
def holder(tmp_path):
    """A process that holds the folder."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()


def test_a_folder_is_held_once(tmp_path):
    with FolderLock(tmp_path / "new"):
        with pytest.raises(FolderInUseError, match=r"new: is being written to by this process; wait"):
            FolderLock(tmp_path / "new" / ".." / "new")
        assert json.loads((tmp_path / "new" / LOCK_NAME).read_text())["pid"] == os.getpid()
    assert list((tmp_path / "new").iterdir()) == []
    lock = FolderLock(tmp_path / "new")
    lock.release()
    lock.release()


def test_another_process_is_named(tmp_path, holder):
    with pytest.raises(FolderInUseError, match=f"written to by process {holder.pid} on .*; wait until that ends"):
        FolderLock(tmp_path)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_the_lock_of_a_killed_process_ends_with_it(tmp_path, holder, number):
    holder.send_signal(number)
    holder.wait()
    with FolderLock(tmp_path):
        pass


def test_children_do_not_keep_it(tmp_path):
    """Loader processes may outlive a killed run by some seconds."""
    context, ended = multiprocessing.get_context("fork"), multiprocessing.get_context("fork").Event()
    lock = FolderLock(tmp_path)
    child = context.Process(target=ended.wait)
    child.start()
    lock.release()
    with FolderLock(tmp_path):
        ended.set()
        child.join()
        code = "import sys; from vos_lightning.io.locks import FolderLock; FolderLock(sys.argv[1])"
        other = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True)
    assert "FolderInUseError" in other.stderr


def lock_of_another_machine(folder):
    path = folder / LOCK_NAME
    path.write_text(json.dumps({"pid": 1, "host": "elsewhere", "since": "today"}))
    return path


def test_another_machine_is_known_by_its_heartbeat(tmp_path, monkeypatch):
    path, sleep = lock_of_another_machine(tmp_path), time.sleep
    with monkeypatch.context() as patch:
        patch.setattr(locks.time, "sleep", lambda _: os.utime(path, ns=(0, path.stat().st_mtime_ns + 1)))
        with pytest.raises(FolderInUseError, match="process 1 on elsewhere, since today"):
            FolderLock(tmp_path)
        patch.setattr(locks.time, "sleep", lambda _: patch.setattr(locks, "HEARTBEAT", 0.05))
        with FolderLock(tmp_path):  # silent for two heartbeats
            first = path.stat().st_mtime_ns
            while path.stat().st_mtime_ns == first:  # and this one beats
                sleep(0.05)


def test_a_machine_long_silent_is_not_waited_for(tmp_path, monkeypatch):
    path = lock_of_another_machine(tmp_path)
    os.utime(path, (0, 0))
    monkeypatch.setattr(locks.time, "sleep", lambda _: pytest.fail("waited"))
    FolderLock(tmp_path).release()


def test_without_locks_of_the_system_heartbeats_tell(tmp_path, monkeypatch, holder):
    path, sleep = tmp_path / LOCK_NAME, time.sleep

    def until_it_beats(_):
        last = path.stat().st_mtime_ns
        while path.stat().st_mtime_ns == last:
            sleep(0.05)

    monkeypatch.setattr(locks, "HEARTBEAT", 600.0)
    monkeypatch.setattr(locks, "fcntl", None)
    monkeypatch.setattr(locks.time, "sleep", until_it_beats)
    with pytest.raises(FolderInUseError, match=f"process {holder.pid}"):
        FolderLock(tmp_path)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff", b"[" * 5000, b'{"host": []}'])
def test_damaged_locks_hold_nothing(tmp_path, content, monkeypatch):
    monkeypatch.setattr(locks, "HEARTBEAT", 0.01)
    (tmp_path / LOCK_NAME).write_bytes(content)
    FolderLock(tmp_path).release()


def test_links_are_not_followed(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "precious").write_text("precious")
    (tmp_path / "folder" / LOCK_NAME).symlink_to(tmp_path / "precious")
    with pytest.raises(VOSError, match="cannot be written"):
        FolderLock(tmp_path / "folder")
    assert (tmp_path / "precious").read_text() == "precious"


def test_a_place_that_cannot_be_written_to_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(VOSError, match=r"file: cannot be written \(File exists"):
        FolderLock(tmp_path / "file")


def test_of_many_at_once_one_holds_it(tmp_path):
    code = """
import sys
from vos_lightning.io.locks import FolderLock, FolderInUseError
print("ready", flush=True)
sys.stdin.readline()
try:
    lock = FolderLock(sys.argv[1])
    print("held", flush=True)
except FolderInUseError:
    print("busy", flush=True)
sys.stdin.readline()
"""
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", code, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(6)
    ]
    assert {racer.stdout.readline() for racer in racers} == {"ready\n"}
    for racer in racers:
        racer.stdin.write("go\n")
        racer.stdin.flush()
    assert sorted(racer.stdout.readline().strip() for racer in racers) == ["busy"] * 5 + ["held"]
    for racer in racers:
        racer.communicate()
