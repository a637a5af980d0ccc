"""Checkpoints whose content is none that a run could have written: one line, never a traceback or a blank result."""

import math

import pytest
import pytorch_lightning as pl
import torch

from vos_lightning import MAST
from vos_lightning.cli import main


@pytest.fixture
def checkpoint(tmp_path, monkeypatch):
    """A whole checkpoint of a tiny MAST that has trained; its folder is the working directory."""
    monkeypatch.chdir(tmp_path)
    model = MAST(width=0.125)
    trainer = pl.Trainer(logger=False, accelerator="cpu", enable_progress_bar=False)
    trainer.strategy.connect(model)
    trainer.save_checkpoint("whole.ckpt")
    return torch.load("whole.ckpt", weights_only=True)


def run(capsys, davis_tree, command, content, steps=1):
    torch.save(content, "damaged.ckpt")
    frames = davis_tree / "JPEGImages" / "480p" / "synthetic-00007"
    if command == "segment":
        mask = davis_tree / "Annotations" / "480p" / "synthetic-00007" / "00000.png"
        arguments = [str(frames), "--mask", str(mask), "--output", "out", "--weights", "damaged.ckpt", "--device=cpu"]
    else:
        kind = "VideoFolder" if command == "fit" else "DAVIS"
        root = frames.parent if command == "fit" else davis_tree
        arguments = ["--model=vos_lightning.MAST", f"--data=vos_lightning.data.{kind}DataModule"]
        arguments += [f"--data.init_args.root={root}", "--data.init_args.num_workers=0", "--trainer.accelerator=cpu"]
        arguments += ["--trainer.logger=false", "--trainer.enable_progress_bar=false", "--ckpt_path=damaged.ckpt"]
        small = ["crop_size=32", "short_side=32", "batch_size=2"]
        arguments += [f"--trainer.max_steps={steps}", *(f"--data.init_args.{one}" for one in small)] * (
            command == "fit"
        )
    code = main([command, *arguments])
    return code, capsys.readouterr().err.splitlines()[-1:]


def spoil(state, value):
    name = next(name for name, one in state.items() if one.is_floating_point() and one.dim() == 4)
    spoiled = state[name].clone()
    spoiled.view(-1)[0] = value
    return state | {name: spoiled}


@pytest.mark.parametrize("command", ["segment", "test", "predict", "validate"])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_weights_that_are_not_finite_give_no_masks(checkpoint, davis_tree, tmp_path, capsys, command, value):
    code, told = run(capsys, davis_tree, command, checkpoint | {"state_dict": spoil(checkpoint["state_dict"], value)})
    assert code == 2
    assert "finite" in told[0]
    assert not list(tmp_path.rglob("*.png"))


STATES = {
    "complex": lambda one: one.to(torch.complex64),
    "sparse": lambda one: one.to_sparse(),
    "meta": lambda one: one.to("meta"),
    "text": lambda one: "weights",
    "shape": lambda one: one[:1],
}


@pytest.mark.parametrize("command", ["segment", "test"])
@pytest.mark.parametrize("kind", [*STATES, "list", "numbers for names"])
def test_tensors_that_are_no_weights_are_answered_in_one_line(checkpoint, davis_tree, capsys, command, kind):
    state = checkpoint["state_dict"]
    if kind == "list":
        damaged = list(state.values())
    elif kind == "numbers for names":
        damaged = dict(enumerate(state.values()))
    else:
        damaged = {name: STATES[kind](one) if one.dim() == 4 else one for name, one in state.items()}
    code, told = run(capsys, davis_tree, command, checkpoint | {"state_dict": damaged})
    assert code == 2
    assert told[0].startswith("vos-lightning: error: ")


@pytest.mark.parametrize(
    ("entry", "value"),
    [
        ("loops", 3), ("loops", {"fit_loop": []}), ("loops", {}), ("callbacks", []), ("callbacks", {"RandomState": 3}),
        ("optimizer_states", {}), ("optimizer_states", [3]), ("lr_schedulers", [3]), ("epoch", None),
        ("pytorch-lightning_version", 3), ("pytorch-lightning_version", "new"),
    ],
)  # fmt: skip
def test_the_state_of_a_run_that_is_none_is_answered_in_one_line(checkpoint, davis_tree, capsys, entry, value):
    code, told = run(capsys, davis_tree, "fit", checkpoint | {entry: value})
    harmless = entry in ("epoch", "optimizer_states") and not value
    assert code == 2 or (code == 0 and harmless)
    assert harmless or "damaged.ckpt" in told[0]


STATES_OF_A_RUN = [
    ("RandomState", "torch", torch.zeros(9, dtype=torch.uint8)),
    ("RandomState", "torch", "state"),
    ("RandomState", "numpy", ["PCG64", torch.zeros(1)]),
    ("RandomState", "python", (3, (1, 2), None)),
    ("loader", "combined_loader", [{"epoch": 1}]),
    ("loader", "combined_loader", [{"epoch": -1, "batches": 0}]),
    ("loader", "combined_loader", [{"epoch": 0, "batches": "all"}]),
]


@pytest.mark.parametrize(("part", "name", "value"), STATES_OF_A_RUN)
def test_what_a_run_goes_on_from_is_checked(checkpoint, davis_tree, tmp_path, capsys, part, name, value):
    assert run(capsys, davis_tree, "fit", checkpoint)[0] == 0
    whole = torch.load(next(tmp_path.rglob("last.ckpt")), weights_only=True)
    place = whole["callbacks"][part] if part == "RandomState" else whole["loops"]["fit_loop"]["state_dict"]
    place[name] = value
    code, told = run(capsys, davis_tree, "fit", whole, steps=2)
    assert code == 2, told
    assert "damaged" in told[0]
