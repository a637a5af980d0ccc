"""The ablation script, at toy size."""

import json
import runpy
from pathlib import Path

import pytest

from vos_lightning.data import write_davis_tree
from vos_lightning.data.synthetic.datasets import SyntheticSpec
from vos_lightning.io.frames import open_frames
from vos_lightning.io.writers import VideoWriter

SCRIPT = Path(__file__).parents[2] / "examples" / "ablations.py"


@pytest.mark.slow
def test_every_row_is_trained_scored_and_drawn_and_complete_runs_are_kept(tmp_path, capsys):
    tree, clips, output = (tmp_path / name for name in ("davis", "clips", "output"))
    write_davis_tree(tree, train=range(3), val=[1000], spec=SyntheticSpec(size=(48, 64), num_frames=8))
    clips.mkdir()
    for folder in sorted((tree / "JPEGImages" / "480p").iterdir()):
        with VideoWriter(clips / f"{folder.name}.mp4", 25) as writer:
            for frame in open_frames(folder):
                writer.write(frame)
    script = runpy.run_path(str(SCRIPT))
    arguments = [str(clips), "--davis", str(tree), "--output", str(output), "--width", "0.125"]
    script["main"]([*arguments, "--steps", "2", "--memory-steps", "1"])
    rows = json.loads((output / "ablations.json").read_text())
    assert [(r["table"], r["row"], r["paper"]) for r in rows] == [row[:3] for row in script["ROWS"]]
    assert all(0 <= r["ours"] <= 100 for r in rows)
    by_row = {r["row"]: r["ours"] for r in rows}
    assert by_row["pairwise"] == by_row["100 videos, pairwise"]
    assert (output / "ablations.png").stat().st_size > 10_000
    before = (output / "momentum" / "last.ckpt").stat().st_mtime_ns
    script["main"]([*arguments, "--steps", "2", "--memory-steps", "1"])
    assert json.loads((output / "ablations.json").read_text()) == rows
    assert (output / "momentum" / "last.ckpt").stat().st_mtime_ns == before
    assert "| 1 | + momentum memory | 68.2 |" in capsys.readouterr().out
    # from given weights: that stage isn't trained, and scores as where it was
    given = [
        *arguments[:4],
        str(tmp_path / "given"),
        *arguments[5:],
        "--pairwise",
        str(output / "pairwise" / "last.ckpt"),
    ]
    script["main"]([*given, "--memory-steps", "1", "--tables", "1"])
    again = json.loads((tmp_path / "given" / "ablations.json").read_text())
    assert [r["row"] for r in again] == [row[1] for row in script["ROWS"] if row[0] == "1"]
    assert again[0] == rows[0]
    assert not (tmp_path / "given" / "pairwise").exists()
