"""The ablation sweep: its rows are the paper's, and one runs through."""

import importlib.util
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


def test_two_rows_run_through_and_stand_beside_the_papers(sweep, davis_tree, tmp_path, capsys):
    small = ["model.width=0.125", "model.key_dim=8", "model.value_dim=8", "data.batch_size=2", "data.num_workers=0"]
    small += ["model.init_from=null", "model.matching={encoder: mast, width: 0.125}"]
    small += ["data.crop_size=32", "data.short_side=32", "data.clips_per_video=2", "trainer.max_steps=1"]
    small += ["trainer.precision=32", "trainer.accelerator=cpu", "trainer.enable_progress_bar=false"]
    arguments = [str(davis_tree / "JPEGImages"), "--val-root", str(davis_tree), "--output", str(tmp_path)]
    sweep.main([*arguments, "--tables", "6", "--set", *small])
    printed = capsys.readouterr().out
    assert "| 3, 4, 5, 6, 7 | + zoom: the full model |" in printed
    assert "| 65.9, 66.2, 65.5 |" in printed
    assert (tmp_path / "cross_entropy" / "last.ckpt").is_file()
    assert (tmp_path / "scores.json").is_file()
