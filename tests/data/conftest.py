import errno
import json
import os
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from vos_lightning.io.masks import write_mask


def counted_frames(count, height=48, width=64, shade=0):
    """Frames that say which one they are: the grey level is 5 times the index, plus a left-to-right ramp."""
    ramp = np.linspace(0, 40, width, dtype=np.uint8)[None, :, None]
    base = np.zeros((height, width, 3), dtype=np.uint8)
    return [base + ramp + np.uint8(shade + 5 * index) for index in range(count)]


def save_video(path, frames, fps=10, gop=100):
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    height, width = frames[0].shape[:2]
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=fps, options={"crf": "10", "g": str(gop), "preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    return Path(path)


def save_frames(folder, frames, names=None):
    Path(folder).mkdir(parents=True, exist_ok=True)
    for index, frame in enumerate(frames):
        name = names[index] if names else f"{index:05d}"
        Image.fromarray(frame).save(Path(folder) / f"{name}.jpg", quality=95)
    return Path(folder)


def save_audio(path):
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("aac", rate=16000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), dtype=np.float32), format="fltp", layout="mono")
        frame.sample_rate = 16000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return Path(path)


@pytest.fixture(autouse=True)
def cache_home(tmp_path_factory, monkeypatch):
    """An index cache of one's own."""
    home = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("XDG_CACHE_HOME", str(home))
    return home


@pytest.fixture(scope="session")
def make():
    """Writers of small files, as one namespace."""

    class Make:
        frames = staticmethod(counted_frames)
        video = staticmethod(save_video)
        folder = staticmethod(save_frames)
        audio = staticmethod(save_audio)

    return Make


@pytest.fixture(scope="session")
def videos(tmp_path_factory, make):
    """Six videos of different sizes, lengths and kinds, some nested."""
    root = tmp_path_factory.mktemp("videos")
    make.video(root / "clip10.mp4", make.frames(12))
    make.video(root / "clip2.mp4", make.frames(9, 64, 48))
    make.video(root / "walks" / "park.mp4", make.frames(20, 50, 90))
    make.folder(root / "frames" / "a", make.frames(7, 60, 60))
    make.folder(root / "frames" / "b", make.frames(3, 40, 72))
    make.video(root / "walks" / "old" / "lake.mkv", make.frames(5))
    (root / "notes.txt").write_text("not a video")
    make.folder(root / ".thumbnails", make.frames(2))
    return root


def spoil(root, make):
    """The faults of real downloads; returns the paths that must be named."""
    whole = make.video(root / "truncated.mp4", make.frames(40, 96, 128)).read_bytes()
    (root / "truncated.mp4").write_bytes(whole[: len(whole) // 2])
    (root / "empty.mp4").write_bytes(b"")
    (root / "text.mp4").write_text("this is not a video\n" * 50)
    make.audio(root / "audio.mp4")
    make.video(root / "single.mp4", make.frames(1))
    return [root / f"{name}.mp4" for name in ("truncated", "empty", "text", "audio", "single")]


@pytest.fixture
def spoiled(tmp_path, make):
    """Six good videos and five bad ones."""
    for index in range(6):
        make.video(tmp_path / f"good{index}.mp4", make.frames(8))
    return tmp_path, spoil(tmp_path, make)


@pytest.fixture
def half_decodable(tmp_path, make):
    """A folder of frames whose last third can't be decoded: no probe finds that, only reading does."""
    folder = make.folder(tmp_path / "broken", make.frames(9))
    for index in range(6, 9):
        (folder / f"{index:05d}.jpg").write_bytes(b"\xff\xd8\xff\xe0 cut")
    return tmp_path


def youtube_meta(root, objects):
    """Write meta.json and the annotations it implies; `objects` is {video: {id: (category, frame names)}}."""
    meta = {
        video: {"objects": {str(key): {"category": kind, "frames": names} for key, (kind, names) in entry.items()}}
        for video, entry in objects.items()
    }
    (root / "meta.json").write_text(json.dumps({"videos": meta}))


@pytest.fixture
def youtube_tree(tmp_path, make):
    """YouTube-VOS with a late, multi-object video, a plain one, all frames of both, and two training videos."""
    root = tmp_path / "ytvos"
    size = (24, 32)

    def masks(folder, shown):
        folder.mkdir(parents=True)
        for name, ids in shown.items():
            mask = np.zeros(size, dtype=np.uint8)
            for place, value in enumerate(ids):
                mask[3:9, 2 + 9 * place : 9 + 9 * place] = value
            write_mask(folder / f"{name}.png", mask)

    sampled = {"late": ["00000", "00005", "00010", "00020", "00030"], "plain": ["00000", "00005"]}
    for video, names in sampled.items():
        make.folder(root / "valid/JPEGImages" / video, make.frames(len(names), *size), names)
        every = [f"{index:05d}" for index in range(int(names[-1]) + 1)]
        folder = root / "all_frames/valid_all_frames/JPEGImages" / video
        make.folder(folder, make.frames(len(every), *size), every)
    masks(root / "valid/Annotations/late", {"00005": [2], "00020": [2, 4, 7]})
    masks(root / "valid/Annotations/plain", {"00000": [1]})
    everywhere = ["00005", "00010", "00020", "00030"]
    late = {7: ("person", ["00020", "00030"]), 2: ("dog", everywhere), 4: ("person", ["00030", "00020"])}
    youtube_meta(root / "valid", {"late": late, "plain": {1: ("cat", ["00000", "00005"])}})
    names = ["00000", "00005", "00010", "00015"]
    for video in ("run", "walk"):
        make.folder(root / "train/JPEGImages" / video, make.frames(4, *size), names)
        masks(root / "train/Annotations" / video, {name: [1] for name in names})
    youtube_meta(root / "train", {video: {1: ("ape", names)} for video in ("run", "walk")})
    return root


@pytest.fixture
def locked(monkeypatch):
    """Folders that can't be listed: their permissions wouldn't stop the superuser."""
    folders = set()

    def guard(function):
        def guarded(path="."):
            if os.fspath(path) in folders:
                raise PermissionError(errno.EACCES, "Permission denied", os.fspath(path))
            return function(path)

        return guarded

    for name in ("scandir", "listdir"):
        monkeypatch.setattr(os, name, guard(getattr(os, name)))
    return lambda folder: folders.add(os.fspath(folder))
