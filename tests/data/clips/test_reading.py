import pickle

import numpy as np
import pytest
import torch
from PIL import Image

from vos_lightning.data.clips.reading import OpenedVideos, open_for_squares, random_square
from vos_lightning.data.layouts.index import VideoRecord
from vos_lightning.errors import CorruptFileError, VOSError
from vos_lightning.io.frame_folder import read_frame


def test_the_square_is_shared_by_the_clip(make):
    generator = torch.manual_seed(0)
    frame = make.frames(1, 30, 90)[0]
    seen = set()
    for _ in range(50):
        clip = random_square([frame] * 3, 30, generator)
        assert torch.equal(clip, clip[:1].expand_as(clip))
        seen.add(int(clip[0, 0, 0, 0]))
    assert len(seen) > 10


@pytest.mark.parametrize("shape", [(30, 90), (90, 30), (30, 30)])
def test_the_square_is_the_short_side(shape):
    frame = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    clip = random_square([frame], 30, torch.manual_seed(0))[0].permute(1, 2, 0).numpy()
    places = [
        (top, left)
        for top in range(shape[0] - 29)
        for left in range(shape[1] - 29)
        if np.array_equal(frame[top : top + 30, left : left + 30], clip)
    ]
    assert len(places) == 1


@pytest.mark.parametrize("size", [20, 45])
def test_squares_are_resized_like_pillow_does(make, size):
    frame = make.frames(1, 30, 30, shade=40)[0]
    frame[10:20, 5:25] = (250, 30, 90)
    clip = random_square([frame], size, torch.manual_seed(0))[0].permute(1, 2, 0).numpy()
    expected = np.asarray(Image.fromarray(frame).resize((size, size), Image.Resampling.BILINEAR))
    assert np.abs(clip.astype(int) - expected).max() <= 2


def test_frames_of_different_sizes_are_refused(make):
    with pytest.raises(VOSError, match="different sizes"):
        random_square([*make.frames(1, 30, 40), *make.frames(1, 30, 44)], 20, torch.manual_seed(0))


@pytest.mark.parametrize(
    ("short_side", "size", "expected"),
    [
        (480, 256, 240),
        (480, 240, 240),
        (480, 300, 480),
        (1080, 256, 270),
        (720, 256, 360),
        (256, 256, 256),
        (99, 256, 99),
    ],
)
def test_jpegs_are_decoded_at_the_fraction_that_is_enough(make, tmp_path, short_side, size, expected):
    folder = make.folder(tmp_path / "clip", make.frames(2, short_side, short_side + 40))
    frame = open_for_squares(str(folder)).read([1], short_side=size)[0]
    assert min(frame.shape[:2]) == expected
    assert abs(frame.mean() - read_frame(folder / "00001.jpg").mean()) < 1.5


def test_what_is_no_plain_jpeg_is_read_whole_and_upright(make, tmp_path):
    Image.new("RGB", (96, 64)).save(tmp_path / "00000.png")
    Image.new("L", (96, 64)).save(tmp_path / "00001.jpg")
    turned = Image.new("RGB", (96, 64))
    exif = turned.getexif()
    exif[0x0112] = 6
    turned.save(tmp_path / "00002.jpg", exif=exif)
    shapes = [frame.shape for frame in open_for_squares(str(tmp_path)).read([0, 1, 2], short_side=16)]
    assert shapes == [(64, 96, 3), (64, 96, 3), (96, 64, 3)]


def test_what_cannot_be_decoded_is_named(make, tmp_path):
    (tmp_path / "00000.jpg").write_bytes(b"\xff\xd8 cut")
    with pytest.raises(CorruptFileError, match=r"00000\.jpg"):
        open_for_squares(str(tmp_path)).read([0], short_side=16)


def test_videos_come_at_the_size_asked_for(make, tmp_path):
    source = open_for_squares(str(make.video(tmp_path / "video.mp4", make.frames(2))))
    assert source.read([1], short_side=32)[0].shape[0] == 32


@pytest.fixture(scope="module")
def records(tmp_path_factory, make):
    root = tmp_path_factory.mktemp("opened")
    paths = [make.video(root / f"{index}.mp4", make.frames(4)) for index in range(5)]
    return [VideoRecord(str(path), path.stem, 4, 10.0) for path in paths]


def test_a_video_is_opened_once(records):
    opened = OpenedVideos()
    assert opened.get(records[0]) is opened.get(records[0])
    assert opened.get(records[0]) is not opened.get(records[1])
    assert opened.get(records[1]).path.name == "1.mp4"


def test_the_videos_used_last_are_kept(records):
    opened = OpenedVideos(frames=3 * 104)
    first, second, _ = (opened.get(record) for record in records[:3])
    assert opened.get(records[0]) is first
    opened.get(records[3])
    assert len(opened) == 3
    assert opened.get(records[0]) is first
    assert opened.get(records[1]) is not second
    for record in records * 3:
        opened.get(record)
        assert len(opened) == 3


def test_long_videos_are_fewer(records):
    opened = OpenedVideos(frames=1000)
    for record in records:
        opened.get(record._replace(num_frames=400))
    assert len(opened) == 2
    opened.get(records[0]._replace(num_frames=5000))
    assert len(opened) == 0
    for record in records:
        opened.get(record)
    assert len(opened) == 5


def test_a_forgotten_video_is_opened_anew(records):
    opened = OpenedVideos(frames=2 * 104)
    first = opened.get(records[0])
    opened.forget(records[0])
    opened.forget(records[0])
    assert opened.get(records[0]) is not first
    kept = opened.get(records[0])
    opened.get(records[1])
    assert opened.get(records[0]) is kept


def test_copies_for_other_processes_are_empty(records):
    opened = OpenedVideos(frames=2 * 104)
    opened.get(records[0])
    copy = pickle.loads(pickle.dumps(opened))
    assert len(opened) == 1
    assert len(copy) == 0
    for record in records:
        copy.get(record)
    assert len(copy) == 2


def test_folders_are_kept_until_forgotten_and_missing_files_are_errors(tmp_path, make):
    opened = OpenedVideos()
    folder = make.folder(tmp_path / "frames", make.frames(3))
    record = VideoRecord(str(folder), "frames", 3, 10.0)
    assert opened.get(record) is opened.get(record)
    (folder / "00001.jpg").unlink()
    assert len(opened.get(record)) == 3
    opened.forget(record)
    assert len(opened.get(record)) == 2
    with pytest.raises(VOSError, match=r"gone\.mp4"):
        opened.get(VideoRecord(str(tmp_path / "gone.mp4"), "gone", 3, 10.0))
    assert len(opened) == 1
