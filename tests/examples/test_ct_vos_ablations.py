"""The ablation sweep: its rows are the paper's, and one runs through."""

import importlib.util
import json
from pathlib import Path

import pytest

from vos_lightning import CTVOS

PATH = Path(__file__).parents[2] / "examples" / "ct_vos_ablations.py"


@pytest.fixture(scope="module")
def sweep():
    spec = importlib.util.spec_from_file_location("ct_vos_ablations", PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_row_of_tables_3_to_7_is_a_model_that_can_be_made(sweep):
    counts = {table: sum(table in row.tables for row in sweep.ROWS) for table in range(3, 8)}
    assert counts == {3: 4, 4: 4, 5: 3, 6: 2, 7: 3}
    for row in sweep.ROWS:
        CTVOS(**({"width": 0.125, "key_dim": 8, "value_dim": 8} | row.model))
        assert row.paper[0] == pytest.approx((row.paper[1] + row.paper[2]) / 2, abs=0.11)


def test_rows_change_of_a_group_what_they_name(sweep):
    options = {"width": 0.5, "tags": {"loss": "pull", "detach_matching": True}}
    merged = sweep.merged(options, {"tags": {"loss": "none"}, "cutout": {"shape": "circle"}})
    assert merged == {"width": 0.5, "tags": {"loss": "none", "detach_matching": True}, "cutout": {"shape": "circle"}}


def test_rows_that_clips_are_too_short_for_are_left_out(sweep):
    fitting = [row.name for row in sweep.ROWS if sweep.fits(row, {"clip_length": 4})]
    assert "3 frames zoomed" in fitting
    assert "5 frames zoomed" not in fitting


@pytest.mark.parametrize("change", ["trainer.max_step=3", "modell.width=1", "data=3", "data.frames.size=3"])
def test_changes_of_what_there_is_not_are_refused_by_name(sweep, change, tmp_path, capsys):
    with pytest.raises(SystemExit):
        sweep.main([str(tmp_path), "--val-root", str(tmp_path), "--output", str(tmp_path / "new"), "--set", change])
    assert f"--set {change}: no option" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


def test_two_rows_run_through_with_two_seeds_and_stand_beside_the_papers(sweep, davis_tree, tmp_path, capsys):
    small = ["model.width=0.125", "model.key_dim=8", "model.value_dim=8", "data.batch_size=2", "data.num_workers=0"]
    small += ["model.matching={encoder: mast, width: 0.125}", "data.crop_size=32", "data.short_side=32"]
    small += ["data.clips_per_video=2", "trainer.max_steps=1", "trainer.enable_progress_bar=false"]
    small += ["trainer.precision=32", "trainer.accelerator=cpu"]
    arguments = [str(davis_tree / "JPEGImages"), "--val-root", str(davis_tree), "--output", str(tmp_path)]
    arguments += ["--tables", "6", "--set", *small]
    sweep.main(arguments)
    first = json.loads((tmp_path / "scores.json").read_text())["scores"]
    assert "| 3, 4, 5, 6, 7 | + zoom: the full model |" in capsys.readouterr().out

    sweep.main([*arguments, "--seeds", "2"])
    printed = capsys.readouterr().out
    assert "| 65.9, 66.2, 65.5 |" in printed
    assert printed.count("±") == 2 * len(sweep.MEASURES)
    scores = json.loads((tmp_path / "scores.json").read_text())["scores"]
    assert {name: seeds[0] for name, seeds in scores.items()} == {name: seeds[0] for name, seeds in first.items()}
    assert all(len(seeds) == 2 and seeds[0] != seeds[1] for seeds in scores.values())
    assert all(len(seed["curve"]) == 2 for seeds in scores.values() for seed in seeds)
    ends = [(seed["curve"][-1], seed["true_matches"]) for seeds in scores.values() for seed in seeds]
    assert all(end == pytest.approx(share, abs=1e-4) for end, share in ends)
    assert (tmp_path / "cross_entropy_1" / "last.ckpt").is_file()

    before = (tmp_path / "scores.json").read_bytes()
    with pytest.raises(SystemExit, match="2"):
        sweep.main([*arguments, "data.batch_size=1"])
    assert "has scores of other settings" in capsys.readouterr().err
    assert (tmp_path / "scores.json").read_bytes() == before


def test_means_stand_with_their_spread_where_there_is_one(sweep):
    assert sweep.spread([40.0, 42.0, 44.0]) == "42.0 ± 2.0"
    assert sweep.spread([40.0]) == "40.0"
