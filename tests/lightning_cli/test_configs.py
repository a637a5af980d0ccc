"""Configs by name."""

from pathlib import Path

import pytest

from vos_lightning.cli import main
from vos_lightning.errors import VOSError
from vos_lightning.lightning_cli.configs import FOLDER, names, with_paths

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_every_example_has_a_name_and_the_same_text():
    expected = [path for pattern in ("*.yaml", "trainer/*.yaml") for path in EXAMPLES.glob(pattern)]
    assert names() == sorted(path.relative_to(EXAMPLES).with_suffix("").as_posix() for path in expected)
    for name in names():
        assert (FOLDER / f"{name}.yaml").read_bytes() == (EXAMPLES / f"{name}.yaml").read_bytes()


def test_a_name_stands_for_its_config_and_what_else_is_given_stays():
    arguments = ["fit", "--config", "mast_videos", "--config=trainer/ddp", "--data.init_args.root", "mast_videos"]
    expected = ["fit", "--config", f"{FOLDER}/mast_videos.yaml", f"--config={FOLDER}/trainer/ddp.yaml"]
    assert with_paths(arguments) == [*expected, "--data.init_args.root", "mast_videos"]


def test_a_file_of_that_name_wins(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("mast_videos").write_text("seed_everything: 1\n")
    assert with_paths(["--config", "mast_videos"]) == ["--config", "mast_videos"]


def test_an_unknown_name_is_refused_with_the_way_to_the_known_ones():
    with pytest.raises(VOSError, match=r"--config mast_vidoes: neither a file nor .* `--config list`"):
        with_paths(["fit", "--config", "mast_vidoes"])


def test_the_list_says_what_each_is_for(capsys):
    assert main(["fit", "--config", "list"]) == 0
    output = capsys.readouterr().out
    assert "mast_videos              Train the reconstruction model on a folder of your own videos" in output
    assert str(FOLDER) in output


def test_a_config_by_name_is_that_config(capsys, tmp_path, monkeypatch):
    """Its readout too, which is a fragment beside it."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as exit_:
        main(["fit", "--config", "mast_youtube_vos", "--model.init_args.tracking.topk", "4", "--print_config"])
    assert exit_.value.code == 0
    output = capsys.readouterr().out
    assert "topk: 4" in output
    assert "edges: false" in output
    assert "max_steps: 120000" in output
