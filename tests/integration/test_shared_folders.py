"""Several runs at once, and runs that go on from another's checkpoint: each keeps a folder of its own."""

import time

import pytest
import torch
import yaml

from vos_lightning.io.locks import FolderLock

LONG = ["--trainer.max_steps=100000", "--trainer.max_epochs=-1", "--last_checkpoint.every_n_steps=2"]


def wait_for(process, condition, log):
    while not condition():
        assert process.is_alive(), log.read_text()
        time.sleep(0.02)


def test_fits_that_start_at_once_have_folders_of_their_own(config, start, tmp_path):
    path, root = config(), tmp_path / "runs"
    runs = [
        start(
            ["fit", "--config", path, "--trainer.max_steps=1", f"--trainer.default_root_dir={root}",
             f"--model.init_args.learning_rate={rate}"],
            tmp_path / f"{rate}.txt",
        )
        for rate in (0.25, 0.5, 0.75, 1.0)
    ]  # fmt: skip
    for run in runs:
        run.join()
        assert run.exitcode == 0, [log.read_text() for log in tmp_path.glob("*.txt")]
    folders = sorted((root / "lightning_logs").iterdir())
    assert [folder.name for folder in folders] == [f"version_{number}" for number in range(4)]
    rates = set()
    for folder in folders:
        saved = yaml.safe_load((folder / "config.yaml").read_text())["model"]["init_args"]["learning_rate"]
        state = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)
        assert state["hyper_parameters"]["learning_rate"] == saved
        rates.add(saved)
    assert rates == {0.25, 0.5, 0.75, 1.0}


def test_last_does_not_take_over_a_run_that_is_going_on(config, start, in_this_process, tmp_path, capsys):
    path, root = config(), tmp_path / "runs"
    arguments = ["fit", "--config", path, f"--trainer.default_root_dir={root}", "--trainer.limit_val_batches=0"]
    first = start([*arguments, *LONG], tmp_path / "log.txt")
    wait_for(first, lambda: list(root.rglob("last.ckpt")), tmp_path / "log.txt")
    assert in_this_process(*arguments, "--trainer.max_steps=100001", "--ckpt_path=last") == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert f"version_0: is being written to by process {first.pid} on " in error
    assert [one.name for one in root.rglob("*.yaml") if "config" in one.name] == ["config.yaml"]
    first.kill()
    first.join()
    done = torch.load(next(root.rglob("last.ckpt")), weights_only=True)["global_step"]
    assert in_this_process(*arguments, f"--trainer.max_steps={done + 1}", "--ckpt_path=last") == 0
    assert [one.name for one in (root / "lightning_logs").iterdir()] == ["version_0"]


@pytest.mark.parametrize("place", ["run", "checkpoints"])
def test_a_folder_in_use_is_refused_without_a_logger_too(config, in_this_process, tmp_path, capsys, place):
    arguments = ["fit", "--config", config(), "--trainer.max_steps=1", "--trainer.logger=false"]
    arguments += [f"--trainer.default_root_dir={tmp_path / 'run'}"]
    arguments += [f"--last_checkpoint.dirpath={tmp_path / 'checkpoints'}"]
    with FolderLock(tmp_path / place):
        assert in_this_process(*arguments) == 2
        assert f"{place}: is being written to by this process" in capsys.readouterr().err
        assert not list(tmp_path.rglob("*.ckpt"))
    assert in_this_process(*arguments) == 0
    assert not list(tmp_path.rglob(".vos_lightning.lock"))


def test_a_run_goes_on_with_other_settings_only_if_told(config, in_this_process, tmp_path, capsys):
    arguments = ["fit", "--config", config(), f"--trainer.default_root_dir={tmp_path / 'run'}"]
    assert in_this_process(*arguments, "--trainer.max_steps=1") == 0
    last = next((tmp_path / "run").rglob("last.ckpt"))
    before = last.read_bytes()
    resumed = [*arguments, "--trainer.max_steps=2", "--ckpt_path=last"]
    changes = ["--seed_everything=3", "--data.init_args.batch_size=1", "--model.init_args.learning_rate=0.5"]
    assert in_this_process(*resumed, *changes) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    for text in ("seed_everything was 0 and is 3", "batch_size was 2 and is 1", "learning_rate was 0.003 and is 0.5"):
        assert text in error
    assert last.read_bytes() == before
    assert in_this_process(*resumed, "--data.init_args.num_workers=1") == 0  # changes nothing that the run learns
    assert (
        in_this_process(*arguments, "--trainer.max_steps=3", "--ckpt_path=last", *changes, "--accept_changes=true") == 0
    )
    assert torch.load(last, weights_only=True)["global_step"] == 3
