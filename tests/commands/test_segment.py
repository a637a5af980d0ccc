"""`vos-lightning segment`: what becomes of what lies in the output, and `--adapt`."""

import time

import numpy as np
import pytest
from PIL import Image

from vos_lightning.cli import main
from vos_lightning.commands import segment as command
from vos_lightning.inference.adaptation import CPU_SETTINGS
from vos_lightning.io.locks import FolderLock
from vos_lightning.io.masks import read_mask, read_palette, write_mask
from vos_lightning.io.video import VideoFile
from vos_lightning.io.writers import MaskWriter, VideoWriter


@pytest.fixture
def video(moving_square, tmp_path):
    """Arguments: a folder of frames, its first mask, an output folder."""
    frames, truth = moving_square
    (tmp_path / "video").mkdir()
    for t, frame in enumerate(frames):
        Image.fromarray(frame).save(tmp_path / "video" / f"{t}.png")
    write_mask(tmp_path / "first.png", truth[0])
    first, output = str(tmp_path / "first.png"), str(tmp_path / "out")
    return ["segment", str(tmp_path / "video"), "--mask", first, "--output", output, "--weights", "lab"]


@pytest.mark.parametrize(
    "flags",
    [
        ["--adapt-unet", "--adapt-steps=2"],
        ["--adapt-unet", "--adapt-steps=2", "--adapt-causal"],
        ["--adapt-unet", "--adapt-seconds=0"],
        ["--adapt", "--adapt-steps=2", "--weights=default"],
    ],
)
def test_adapt_writes_a_mask_for_every_frame(video, moving_square, tmp_path, flags):
    assert main([*video, "--device=cpu", *flags]) == 0
    masks = [read_mask(tmp_path / "out" / f"{t}.png") for t in range(6)]
    assert np.array_equal(masks[0], moving_square[1][0])
    assert set(np.unique(masks)) <= {0, 9}


def test_flags_change_the_preset_of_the_device(video):
    options = command._parser().parse_args(
        [*video[1:], "--device=cpu", "--adapt-unet", "--adapt-seconds=7", "--adapt-causal"]
    )
    settings = command._adapter(options)
    assert (settings.seconds, settings.mode, settings.size) == (7, "causal", CPU_SETTINGS.size)


@pytest.mark.parametrize(
    ("flags", "reason"),
    [
        (["--adapt-steps=5"], "add --adapt or --adapt-unet"),
        (["--adapt", "--adapt-seconds=5"], "add --adapt-unet"),
        (["--adapt", "--adapt-causal"], "add --adapt-unet"),
        (["--adapt", "--adapt-unet"], "give one"),
        (["--adapt"], "nothing that could be adapted"),
    ],
)
def test_flags_of_adaptation_that_do_not_fit_are_refused(video, capsys, flags, reason):
    assert main([*video, *flags]) == 2
    assert reason in capsys.readouterr().err


@pytest.fixture
def filled(video, tmp_path):
    """The output of an earlier run, name by name, and the arguments of one more."""
    assert main([*video, "--overlay"]) == 0
    return visible(tmp_path / "out"), video


def visible(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if not path.name.startswith(".")}


def test_a_mask_of_another_size_costs_no_earlier_mask(filled, tmp_path, capsys):
    before, arguments = filled
    write_mask(tmp_path / "first.png", np.ones((8, 9), np.uint8))
    assert main(arguments) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert visible(tmp_path / "out") == before


def test_a_frame_rate_that_cannot_be_written_costs_no_earlier_mask(filled, tmp_path, monkeypatch, capsys):
    before, arguments = filled
    monkeypatch.setattr("vos_lightning.io.frame_folder.FrameFolder.fps", 5000.0)
    assert main([*arguments, "--overlay"]) == 2
    assert "5000.0 frames per second" in capsys.readouterr().err
    assert visible(tmp_path / "out") == before


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError(28, "No space left on device")])
def test_a_run_cut_short_costs_no_earlier_mask(filled, tmp_path, monkeypatch, error):
    before, arguments = filled
    written = []

    def interrupted(self, name, mask):
        written.append(name)
        if len(written) == 3:
            raise error

    monkeypatch.setattr("vos_lightning.commands.segment_video.MaskWriter.write", interrupted)
    assert main(arguments) in (2, 130)
    assert len(written) == 3
    assert visible(tmp_path / "out") == before


def test_a_shorter_video_leaves_no_mask_of_a_longer_one(filled, tmp_path):
    _, arguments = filled
    (tmp_path / "out" / "notes.txt").write_text("mine")
    for t in (4, 5):
        (tmp_path / "video" / f"{t}.png").unlink()
    assert main(arguments) == 0
    assert sorted(visible(tmp_path / "out")) == ["0.png", "1.png", "2.png", "3.png", "notes.txt"]


def test_masks_mended_by_hand_are_not_replaced(filled, tmp_path, capsys):
    _, arguments = filled
    write_mask(tmp_path / "out" / "3.png", np.full((60, 90), 4, np.uint8))
    before = visible(tmp_path / "out")
    assert main(arguments) == 2
    assert "3.png: would be replaced, but no earlier run has written it, or it has changed" in capsys.readouterr().err
    assert visible(tmp_path / "out") == before


@pytest.mark.parametrize("linked", [False, True])
def test_an_output_that_contains_the_mask_is_refused(video, tmp_path, capsys, linked):
    folder = tmp_path / "m"
    folder.mkdir()
    (tmp_path / "first.png").rename(folder / "0.png")
    before = visible(folder)
    given = folder / "0.png"
    if linked:
        given = tmp_path / "link.png"
        given.symlink_to(folder / "0.png")
    assert main(["segment", video[1], "--mask", str(given), "--output", str(folder), "--weights", "lab"]) == 2
    assert "is an input and lies there; choose another folder" in capsys.readouterr().err
    assert visible(folder) == before


def test_an_output_that_contains_the_video_is_refused(video, moving_square, tmp_path, capsys):
    folder = tmp_path / "k"
    folder.mkdir()
    with VideoWriter(folder / "overlay.mp4", 10) as writer:
        for frame in moving_square[0]:
            writer.write(frame)
    before = visible(folder)
    arguments = ["--mask", str(tmp_path / "first.png"), "--output", str(folder), "--weights", "lab", "--overlay"]
    assert main(["segment", str(folder / "overlay.mp4"), *arguments]) == 2
    assert "is an input and lies there" in capsys.readouterr().err
    assert visible(folder) == before


def test_two_runs_do_not_mix_in_one_folder(video, tmp_path, capsys):
    with FolderLock(tmp_path / "out"):
        assert main(video) == 2
    assert "out: is being written to by" in capsys.readouterr().err
    assert main(video) == 0


def test_a_file_as_output_is_answered_in_one_line(video, tmp_path, capsys):
    (tmp_path / "out").write_text("mine")
    assert main(video) == 2
    error = capsys.readouterr().err
    assert "out: is a file, and results go into a folder" in error
    assert error.count("\n") == 1
    assert (tmp_path / "out").read_text() == "mine"


@pytest.fixture
def several(moving_square, tmp_path):
    """Two videos, one of whose masks is a file and one a folder's first; arguments for both."""
    frames, truth = moving_square
    for name in ("one", "two"):
        (tmp_path / "videos" / name).mkdir(parents=True)
        for t, frame in enumerate(frames):
            Image.fromarray(frame).save(tmp_path / "videos" / name / f"{t}.png")
    (tmp_path / "masks" / "two").mkdir(parents=True)
    write_mask(tmp_path / "masks" / "one.png", truth[0])
    write_mask(tmp_path / "masks" / "two" / "0.png", np.where(truth[0], 4, 0).astype(np.uint8))
    inputs = [str(tmp_path / "videos" / name) for name in ("one", "two")]
    return [
        "segment",
        *inputs,
        "--masks",
        str(tmp_path / "masks"),
        "--output",
        str(tmp_path / "out"),
        "--weights",
        "lab",
    ]


def test_several_videos_go_into_folders_of_their_names(several, tmp_path, capsys):
    assert main(several) == 0
    assert {int(i) for i in np.unique(read_mask(tmp_path / "out" / "one" / "5.png"))} == {0, 9}
    assert {int(i) for i in np.unique(read_mask(tmp_path / "out" / "two" / "5.png"))} == {0, 4}
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines] == [
        f"{n}/2 {tmp_path}/videos/{v}" for n, v in ((1, "one"), (2, "two"))
    ]


def test_a_second_run_of_several_does_only_what_is_missing(several, tmp_path, capsys):
    assert main(several) == 0
    (tmp_path / "out" / "two" / "3.png").unlink()
    before = (tmp_path / "out" / "one" / "3.png").stat().st_mtime_ns
    capsys.readouterr()
    assert main(several) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert "is complete already" in first
    assert "6 masks" in second
    assert (tmp_path / "out" / "one" / "3.png").stat().st_mtime_ns == before
    assert (tmp_path / "out" / "two" / "3.png").is_file()


def test_a_video_without_mask_is_told_and_the_others_are_done(several, tmp_path, capsys):
    (tmp_path / "masks" / "one.png").unlink()
    assert main(several) == 2
    first, second = capsys.readouterr().out.splitlines()
    assert "error: no mask for it: expected" in first
    assert "6 masks" in second


def test_colour_masks_of_half_the_size_are_read_and_said(video, moving_square, tmp_path, caplog):
    truth = moving_square[1][0]
    colours = np.zeros((*truth.shape, 3), np.uint8)
    colours[truth > 0] = 255, 128, 0
    Image.fromarray(colours[::2, ::2]).save(tmp_path / "first.bmp")
    video[3] = str(tmp_path / "first.bmp")
    assert main(video) == 0
    assert "first.bmp: #ff8000 is object 1" in caplog.text
    assert "first.bmp: scaled from 45×30 to 90×60" in caplog.text
    mask = read_mask(tmp_path / "out" / "0.png")
    np.testing.assert_array_equal(mask, (truth[::2, ::2] > 0).repeat(2, 0).repeat(2, 1))
    assert read_palette(tmp_path / "out" / "0.png")[3:6] == bytes([255, 128, 0])


def test_masks_of_several_videos_may_have_any_format(several, moving_square, tmp_path):
    path = tmp_path / "masks" / "one.png"
    Image.open(path).save(path.with_suffix(".tif"))
    path.unlink()
    assert main(several) == 0
    assert np.unique(read_mask(tmp_path / "out" / "one" / "5.png")).tolist() == [0, 9]


def test_several_videos_of_one_name_are_refused(several, tmp_path, capsys):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "videos" / "one").rename(tmp_path / "elsewhere" / "two")
    several[1] = str(tmp_path / "elsewhere" / "two")
    assert main(several) == 2
    assert "several inputs are called two" in capsys.readouterr().err


def test_masks_of_later_frames_join_and_may_be_followed_backward(video, moving_square, tmp_path):
    late = np.zeros_like(moving_square[1][0])
    late[45:58, 60:80] = 4
    write_mask(tmp_path / "late.png", late)
    assert main([*video, "--mask", f"{tmp_path}/late.png@3"]) == 0
    assert [4 in read_mask(tmp_path / "out" / f"{t}.png") for t in range(6)] == [False] * 3 + [True] * 3
    assert main([*video, "--mask", f"{tmp_path}/late.png@3", "--backward"]) == 0
    assert all(4 in read_mask(tmp_path / "out" / f"{t}.png") for t in range(6))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a, p: [*a, "--mask", f"{p}/first.png"], "there is one for frame 0 already"),
        (lambda a, p: [*a, "--mask", f"{p}/first.png@17"], "frame 17, but the video has 6 frames"),
        (lambda a, p: [a[0], a[1], *a[4:]], "which objects? give --mask"),
        (lambda a, p: [a[0], a[1], *a[1:]], "2 inputs, and --mask is for one"),
    ],
)
def test_masks_that_do_not_fit_the_videos_are_told(video, tmp_path, capsys, change, message):
    assert main(change(video, tmp_path)) == 2
    assert message in capsys.readouterr().err


def test_the_first_mask_of_a_live_source_comes_after_one_frame(video, moving_square, tmp_path, camera, capsys):
    """The camera gives a frame only when the mask of the one before is there: with any read-ahead, nobody goes on."""
    frames, truth = moving_square
    waited = []

    def until_the_mask_before_is_written(number):
        if number:
            while not (tmp_path / "out" / f"{number - 1:05d}.png").exists() and len(waited) < 180_000:
                waited.append(time.sleep(0.01))

    pipe = camera(frames, until_the_mask_before_is_written)
    assert main([video[0], str(pipe), *video[2:], "--overlay"]) == 0
    assert len(waited) < 180_000
    assert sorted(visible(tmp_path / "out")) == [*(f"{t:05d}.png" for t in range(6)), "overlay.mp4"]
    assert len(VideoFile(tmp_path / "out" / "overlay.mp4")) == 6
    last = read_mask(tmp_path / "out" / "00005.png") == 9
    assert (last & (truth[5] == 9)).sum() > 0.8 * (truth[5] == 9).sum()
    captured = capsys.readouterr()
    assert "live, at most 10000 frames; Ctrl-C ends it" in captured.err
    assert f"6 masks in {tmp_path}/out: 00000.png … 00005.png, overlay.mp4 (" in captured.out


def test_a_live_source_ends_with_its_limit_or_with_ctrl_c(video, moving_square, tmp_path, camera, monkeypatch):
    pipe = camera(moving_square[0], lambda number: None)
    assert main([video[0], str(pipe), *video[2:], "--frames=2"]) == 0
    assert sorted(visible(tmp_path / "out")) == ["00000.png", "00001.png"]
    with pytest.MonkeyPatch.context() as patch:
        real, calls = MaskWriter.write, []

        def interrupted(self, name, mask):
            calls.append(name)
            if len(calls) == 4:
                raise KeyboardInterrupt
            real(self, name, mask)

        patch.setattr("vos_lightning.commands.segment_video.MaskWriter.write", interrupted)
        pipe = camera(moving_square[0], lambda number: None)
        assert main([video[0], str(pipe), *video[2:]]) == 0
    assert sorted(visible(tmp_path / "out")) == ["00000.png", "00001.png", "00002.png"]


def test_a_live_source_is_not_adapted_to(video, tmp_path, capsys):
    assert main([video[0], "77", *video[2:], "--backward"]) == 2
    assert "77: is live, and --adapt, --adapt-unet and --backward need a whole video" in capsys.readouterr().err


def test_what_was_written_is_named_and_a_pipe_hears_of_it_before(video, tmp_path, capsys):
    assert main([*video, "--overlay"]) == 0
    captured = capsys.readouterr()
    assert captured.err.splitlines()[0] == f"{video[1]}: 6 frames"
    assert captured.out.startswith(f"6 masks in {tmp_path}/out: 0.png … 5.png, overlay.mp4 (")


def test_outlines_and_legends_belong_to_an_overlay(video, tmp_path, capsys):
    assert main([*video, "--outline"]) == 2
    assert "add --overlay" in capsys.readouterr().err
    assert main([*video, "--overlay", "--outline", "--legend"]) == 0
    frame, drawn = VideoFile(tmp_path / "out" / "overlay.mp4")[0], Image.open(tmp_path / "video" / "0.png")
    mask = read_mask(tmp_path / "out" / "0.png")
    inner = np.zeros_like(mask, bool)
    ys, xs = np.nonzero(mask)
    inner[ys.min() + 4 : ys.max() - 3, xs.min() + 4 : xs.max() - 3] = True
    inner[:20, :32] = False  # the legend
    assert np.abs(frame[inner].astype(int) - np.asarray(drawn)[inner]).mean() < 12
    assert np.abs(frame[:16, :24].astype(int) - np.asarray(drawn)[:16, :24]).mean() > 40
