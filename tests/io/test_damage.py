"""Videos with rot in the middle: the decoder patches such frames up, so somebody has to say so."""

import logging
import pickle

import numpy as np
import pytest

from vos_lightning.data.tools.encoding import Encoding
from vos_lightning.data.tools.prepare import prepare_dataset
from vos_lightning.errors import CorruptFileError, VOSError
from vos_lightning.io.frames import FrameFolder, VideoFile
from vos_lightning.io.masks import write_mask


@pytest.fixture
def rotten(tmp_path, scene, encode):
    """Thirty frames, those from 10 on damaged; none is missing."""
    path = encode(tmp_path / "videos" / "rot.mp4", scene(30), options={"g": "10", "bf": "0"})
    content = bytearray(path.read_bytes())
    video = VideoFile(path)
    video.read([0])
    places = range(len(content) // 2, 9 * len(content) // 10, len(content) // 20)
    for place in places:
        content[place : place + 48] = np.random.default_rng(place).bytes(48)
    path.write_bytes(content)
    return path


@pytest.fixture(autouse=True)
def folder(tmp_path):
    (tmp_path / "videos").mkdir()


def test_streaming_warns_once_and_goes_on(rotten, caplog):
    for stream in (list, lambda video: [video[index] for index in range(len(video))]):
        caplog.clear()
        video = VideoFile(rotten)
        with caplog.at_level(logging.WARNING):
            assert len(stream(video)) == len(stream(video)) == 30
        (record,) = caplog.records
        assert "rot.mp4: damaged from about frame " in record.getMessage()
        assert "\n" not in record.getMessage()


def test_clips_of_damaged_frames_are_refused(rotten):
    video = VideoFile(rotten)
    assert len(video.read(range(8))) == 8
    with pytest.raises(CorruptFileError, match=r"rot\.mp4: frame \d+ is damaged; replace this video"):
        video.read(range(30))
    with pytest.raises(CorruptFileError, match="is damaged"):
        pickle.loads(pickle.dumps(video)).read(range(30))


def test_what_is_whole_is_read_without_a_word(tmp_path, scene, encode, caplog):
    path = encode(tmp_path / "good.mp4", scene(12))
    with caplog.at_level(logging.WARNING):
        assert len(list(VideoFile(path))) == len(list(VideoFile(path).intact())) == 12
    assert caplog.records == []
    write_mask(tmp_path / "videos" / "0.png", np.ones((4, 4), np.uint8))
    assert len(list(FrameFolder(tmp_path / "videos").intact())) == 1


def test_no_copy_of_a_damaged_video_passes_for_whole(rotten, tmp_path):
    with pytest.raises(CorruptFileError, match="is damaged"):
        list(VideoFile(rotten).intact())
    report = prepare_dataset(rotten.parent, tmp_path / "copy", encoding=Encoding(64))
    assert report.written == 0
    assert [reason.count("is damaged") for _, reason in report.faults] == [1]
    assert not list((tmp_path / "copy").glob("*.mp4"))


@pytest.mark.parametrize("name", ["list.mp4", "list.txt", "list.avi"])
@pytest.mark.parametrize("text", ["ffconcat version 1.0\nfile 'other.mkv'\n", "#EXTM3U\n#EXTINF:1,\nother.mkv\n"])
def test_a_video_that_lists_other_files_opens_none(tmp_path, scene, encode, name, text):
    encode(tmp_path / "other.mkv", scene(3))
    (tmp_path / name).write_text(text)
    with pytest.raises(VOSError, match=f"{name}: this video cannot be decoded"):
        len(VideoFile(tmp_path / name))
