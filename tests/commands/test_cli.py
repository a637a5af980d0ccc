"""The commands as a user types them: in a process of their own, in a pipe."""

import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from vos_lightning.cli import COMMANDS, lightning, main
from vos_lightning.io.frames import VideoFile
from vos_lightning.io.masks import read_mask, read_palette, write_mask
from vos_lightning.io.writers import VideoWriter


@pytest.fixture
def video(tmp_path, moving_square):
    """A folder of frames and the mask of the first."""
    frames, truth = moving_square
    folder = tmp_path / "frames"
    folder.mkdir()
    for t, frame in enumerate(frames):
        Image.fromarray(frame).save(folder / f"img{t + 8}.png")
    palette = bytes(range(256)) * 3
    write_mask(tmp_path / "first.png", truth[0], palette)
    return folder, tmp_path / "first.png"


def run(capsys, *arguments):
    """Exit code, stdout and stderr of a command in this process."""
    try:
        code = main([str(argument) for argument in arguments])
    except SystemExit as stop:  # argparse
        code = stop.code
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_help_names_every_command(capsys):
    code, out, _ = run(capsys, "--help")
    assert code == 0
    assert all(f"  {command} " in out for command in COMMANDS)


@pytest.mark.parametrize("command", ["segment", "evaluate", "export", "audit", "prepare", "demo"])
def test_every_command_has_help(capsys, command):
    code, out, _ = run(capsys, command, "--help")
    assert code == 0
    assert f"vos-lightning {command}" in out


def test_unknown_commands_are_answered_in_one_line(capsys):
    code, _, err = run(capsys, "sgement")
    assert code == 2
    assert err.count("\n") == 1
    assert "segment" in err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["segment", "clip.mp4"],
            "the following arguments are required: --output; `vos-lightning segment --help` says more",
        ),
        (["segment", "clip.mp4", "--output", "x", "--maks", "m.png"], "unrecognized arguments: --maks m.png"),
        (["evaluate"], "the following arguments are required: PREDICTIONS, --annotations"),
        (["demo", "--steps", "many"], "argument --steps: invalid int value: 'many'"),
    ],
)
def test_wrong_options_are_answered_in_one_line(capsys, words, said):
    code, _, err = run(capsys, *words)
    assert code == 2
    assert err.startswith(f"vos-lightning: error: {said}")
    assert err.count("\n") == 1


def test_the_command_lightning_is_another_package_s_where_there_is_one(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr("sys.argv", ["lightning", "--version"])
    assert lightning() == 0
    assert capsys.readouterr().out.startswith("vos_lightning ")
    package = tmp_path / "other-1.0.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: other\nVersion: 1.0\n")
    (package / "entry_points.txt").write_text("[console_scripts]\nlightning = other_command:run\n")
    (tmp_path / "other_command.py").write_text("def run():\n    print('of the other package')\n    return 3\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert lightning() == 3
    assert capsys.readouterr().out == "of the other package\n"


def test_segment_writes_masks_named_after_the_frames(capsys, video, tmp_path):
    frames, mask = video
    code, out, _ = run(
        capsys, "segment", frames, "--mask", mask, "--output", tmp_path / "out", "--weights", "lab", "--overlay"
    )
    assert code == 0
    assert out.startswith("6 masks in ")
    names = sorted(p.name for p in (tmp_path / "out").glob("[!.]*"))
    assert names == sorted([*(f"img{i}.png" for i in range(8, 14)), "overlay.mp4"])
    assert np.array_equal(read_mask(tmp_path / "out" / "img8.png"), read_mask(mask))
    assert set(np.unique(read_mask(tmp_path / "out" / "img13.png"))) == {0, 9}
    assert read_palette(tmp_path / "out" / "img13.png")[:768] == read_palette(mask)[:768]
    assert len(VideoFile(tmp_path / "out" / "overlay.mp4")) == 6


def test_segment_numbers_the_frames_of_a_video_file(capsys, video, moving_square, tmp_path):
    with VideoWriter(tmp_path / "clip.mp4", fps=12) as writer:
        for frame in moving_square[0]:
            writer.write(frame)
    code, _, _ = run(
        capsys, "segment", tmp_path / "clip.mp4", "--mask", video[1], "--output", tmp_path / "out", "--weights", "lab"
    )
    assert code == 0
    assert sorted(p.name for p in (tmp_path / "out").glob("[!.]*")) == [f"{i:05d}.png" for i in range(6)]


def test_masks_never_go_over_the_frames(capsys, video):
    frames, mask = video
    before = {path.name: path.read_bytes() for path in frames.iterdir()}
    code, _, err = run(capsys, "segment", frames, "--mask", mask, "--output", frames, "--weights", "lab")
    assert code == 2
    assert "choose another folder" in err
    assert {path.name: path.read_bytes() for path in frames.iterdir()} == before


def test_an_interrupt_is_answered_in_one_line(capsys, video, monkeypatch, tmp_path):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("vos_lightning.commands.segment.segment", interrupt)
    code, _, err = run(capsys, "segment", video[0], "--mask", video[1], "--output", tmp_path / "out")
    assert code == 130
    assert err.count("\n") == 1


def test_validation_without_sequences_is_refused(capsys, davis_tree):
    data = ["--data=vos_lightning.data.VideoFolderDataModule", f"--data.init_args.root={davis_tree / 'JPEGImages'}"]
    code, _, err = run(capsys, "validate", "--model=vos_lightning.MAST", "--model.init_args.width=0.125", *data)
    assert code == 2
    assert "pass val_root" in err


def test_bad_input_ends_with_one_line_and_code_2(capsys, video, tmp_path):
    frames, mask = video
    rng = np.random.default_rng(0)
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.mp4").write_text("no video")
    (tmp_path / "broken").mkdir()
    for t in range(3):
        (tmp_path / "broken" / f"{t}.jpg").write_bytes(b"no picture")
    Image.fromarray(rng.integers(0, 255, (60, 90, 3), np.uint8)).save(tmp_path / "rgb.png")
    Image.fromarray(np.ones((30, 30), np.uint8)).save(tmp_path / "small.png")
    Image.fromarray(np.zeros((60, 90), np.uint8)).save(tmp_path / "zero.png")
    cases = {
        (tmp_path / "nothing.mp4", mask, "lab"): "nothing.mp4",
        (frames, tmp_path / "nothing.png", "lab"): "nothing.png",
        (tmp_path / "empty", mask, "lab"): "empty",
        (tmp_path / "text.mp4", mask, "lab"): "text.mp4",
        (tmp_path / "broken", mask, "lab"): "0.jpg",
        (frames, tmp_path / "rgb.png", "lab"): "rgb.png",
        (frames, tmp_path / "small.png", "lab"): "30×30",
        (frames, tmp_path / "zero.png", "lab"): "no object",
        (frames, mask, "magic"): "magic",
        (frames, mask, tmp_path / "text.mp4"): "text.mp4",
    }
    for (source, first, weights), expected in cases.items():
        code, _, err = run(
            capsys, "segment", source, "--mask", first, "--output", tmp_path / "out", "--weights", weights
        )
        assert code == 2, expected
        assert expected in err
        assert err.count("\n") == 1, err
        assert "Traceback" not in err


def test_evaluate_prints_a_plain_table(davis_tree, tmp_path):
    """Through a real pipe: no colours, no wrapping."""
    truth = davis_tree / "Annotations" / "480p"
    command = [sys.executable, "-m", "vos_lightning", "evaluate", truth, "--annotations", truth]
    result = subprocess.run(
        [*map(str, command), "--json", str(tmp_path / "out.json")], capture_output=True, text=True, timeout=1800
    )
    assert result.returncode == 0, result.stderr
    assert "\x1b" not in result.stdout
    assert "synthetic-00007" in result.stdout
    assert (tmp_path / "out.json").is_file()


def test_evaluate_names_the_missing_prediction(capsys, davis_tree, tmp_path):
    truth = davis_tree / "Annotations" / "480p"
    folder = tmp_path / "results" / "synthetic-00007"
    folder.mkdir(parents=True)
    for path in sorted((truth / "synthetic-00007").iterdir())[:-2]:
        (folder / path.name).write_bytes(path.read_bytes())
    code, _, err = run(capsys, "evaluate", tmp_path / "results", "--annotations", truth)
    assert code == 2
    assert "00004.png" in err
    assert err.count("\n") == 1


def test_audit_names_the_corrupt_file_and_exits_with_1(capsys, moving_square, tmp_path):
    with VideoWriter(tmp_path / "good.mp4", fps=12) as writer:
        for frame in moving_square[0]:
            writer.write(frame)
    code, out, _ = run(capsys, "audit", tmp_path, "--format", "videos", "--json", tmp_path / "audit.json")
    assert code == 0
    assert "1 videos, 6 frames" in out
    (tmp_path / "bad.mp4").write_text("no video")
    code, out, _ = run(capsys, "audit", tmp_path, "--format", "videos", "--json", tmp_path / "audit.json")
    assert code == 1
    assert "bad.mp4" in out
    (problem,) = json.loads((tmp_path / "audit.json").read_text())["problems"]
    assert problem["kind"] == "corrupt"
    before = (tmp_path / "good.mp4").read_bytes()
    code, _, err = run(capsys, "audit", tmp_path, "--format", "videos", "--json", tmp_path / "good.mp4")
    assert code == 2
    assert "good.mp4: is there already, and is no earlier report" in err
    assert (tmp_path / "good.mp4").read_bytes() == before


def test_prepare_writes_a_small_copy(capsys, moving_square, tmp_path):
    (tmp_path / "videos").mkdir()
    with VideoWriter(tmp_path / "videos" / "one.mp4", fps=12) as writer:
        for frame in moving_square[0]:
            writer.write(frame)
    code, out, _ = run(capsys, "prepare", tmp_path / "videos", tmp_path / "copy", "--short-side", "32")
    assert code == 0
    assert "1 videos written" in out
    (copy,) = (tmp_path / "copy").rglob("*.mp4")
    assert min(VideoFile(copy).size) == 32
    assert len(VideoFile(copy)) == 6


def test_export_packs_what_evaluate_scores(capsys, davis_tree, tmp_path):
    truth = davis_tree / "Annotations" / "480p"
    code, _, _ = run(capsys, "export", truth, tmp_path / "submission", "--reference", truth)
    assert code == 0
    assert len(list((tmp_path / "submission").rglob("*.png"))) == 12
    code, _, err = run(capsys, "export", truth, tmp_path / "submission")
    assert code == 2
    assert "is there already" in err
