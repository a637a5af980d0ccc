"""Configs that would exhaust their reader are refused before it starts."""

from itertools import pairwise

import pytest
import yaml

from vos_lightning.cli import main
from vos_lightning.lightning_cli.config_text import MAX_ENTRIES, read_guarded

# each line is eight times the one before
BOMB = "a: &a [1, 1]\n" + "\n".join(f"{c}: &{c} [{', '.join(8 * [f'*{p}'])}]" for p, c in pairwise("abcdefg"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[" * 100_000, "nested more than 40 levels"),
        ("a: &a [x, *a]", "inside of what it stands for"),
        (BOMB, "more than 100000 values"),
        (f"a: {{b: [1, [{', '.join(['7'] * (MAX_ENTRIES + 1))}]]}}", f"a list of {MAX_ENTRIES + 1} values"),
    ],
)
def test_what_would_never_end_is_refused(text, message):
    with pytest.raises(yaml.YAMLError, match=message):
        read_guarded(text)


def test_long_lists_are_read_whole():
    assert read_guarded(f"a: [{', '.join(map(str, range(MAX_ENTRIES)))}]") == {"a": list(range(MAX_ENTRIES))}


@pytest.mark.parametrize("way", ["file", "option"])
def test_a_schedule_of_twenty_thousand_entries_is_refused_in_one_line(tmp_path, capsys, way):
    numbers = f"[{', '.join(map(str, range(20_000)))}]"
    config = tmp_path / "long.yaml"
    config.write_text(f"model:\n  class_path: vos_lightning.MAST\n  init_args:\n    halve_lr_at: {numbers}\n")
    arguments = ["--config", str(config)]
    if way == "option":
        arguments = ["--model=vos_lightning.MAST", f"--model.init_args.halve_lr_at={numbers}"]
    with pytest.raises(SystemExit) as exit_:
        raise SystemExit(main(["fit", *arguments, "--data=vos_lightning.data.SyntheticDataModule", "--print_config"]))
    assert exit_.value.code not in (0, None)
    error = capsys.readouterr().err
    assert "a list of 20000 values; 1000 are allowed" in error or way == "option"
    assert error.count("\n") == 1
