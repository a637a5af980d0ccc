"""What two ranks do when one is lost, or when they would go on from different states."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from vos_lightning.callbacks import run_start
from vos_lightning.ranks import AllRanksError


def start_two_ranks(config, environment, root, *more):
    arguments = ["fit", "--config", config(), "--trainer.max_steps=100000", "--trainer.max_epochs=-1", *more]
    arguments += [f"--trainer.default_root_dir={root}", "--trainer.strategy=ddp", "--trainer.devices=2"]
    arguments += ["--trainer.limit_val_batches=0", "--last_checkpoint.every_n_steps=2"]
    command = [sys.executable, "-m", "vos_lightning", *map(str, arguments)]
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)


@pytest.mark.slow
@pytest.mark.parametrize("lost", ["first", "second"])
def test_a_lost_rank_is_one_line_on_the_other(lost, config, environment, tmp_path):
    process = start_two_ranks(config, environment, tmp_path / "run")
    while process.poll() is None and not list(tmp_path.rglob("last.ckpt")):
        time.sleep(0.05)
    (task,) = Path(f"/proc/{process.pid}/task/{process.pid}").glob("children")
    second = int(task.read_text().split()[0])
    os.kill(process.pid if lost == "first" else second, signal.SIGKILL)
    _, errors = process.communicate(timeout=1800)
    assert process.returncode == (-9 if lost == "first" else 1)
    assert "Traceback" not in errors
    told = [line for line in errors.splitlines() if line.startswith("vos-lightning: error: ")]
    assert told == [line for line in told if "another process of the run has ended" in line]
    assert len(told) == 1, errors


def test_ranks_with_different_checkpoints_are_refused(tmp_path, monkeypatch):
    """Node-local folders: only the first machine has written checkpoints."""
    (tmp_path / "last.ckpt").write_bytes(b"state")
    (tmp_path / "old.ckpt").write_bytes(b"older")

    def of_two(other):
        return lambda value: [value, other] if isinstance(value, tuple) else [value]

    monkeypatch.setattr(run_start, "gather", of_two(("", "second-machine has none")))
    with pytest.raises(
        AllRanksError, match=r"second-machine has none\); resuming needs a folder that all machines share"
    ):
        run_start.check_equal_state(str(tmp_path / "last.ckpt"))
    run_start.check_equal_state(None)

    digests = []
    monkeypatch.setattr(run_start, "gather", lambda value: digests.append(value) or [value])
    for name in ("last.ckpt", "old.ckpt"):
        run_start.check_equal_state(str(tmp_path / name))
    assert digests[0][0] != digests[1][0]
    monkeypatch.setattr(run_start, "gather", lambda value: [value, (digests[1][0], "second-machine old.ckpt")])
    with pytest.raises(AllRanksError, match="different checkpoints"):
        run_start.check_equal_state(str(tmp_path / "last.ckpt"))
    run_start.check_equal_state(str(tmp_path / "old.ckpt"))


@pytest.mark.slow
def test_a_machine_without_the_run_folder_is_told_at_once(config, environment, tmp_path):
    """Two processes as of two machines, each with a folder of its own; one of them holds a checkpoint."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    path = config()
    first = [sys.executable, "-m", "vos_lightning", "fit", "--config", str(path), "--trainer.max_steps=1"]
    subprocess.run([*first, "--trainer.default_root_dir=run"], env=environment, cwd=tmp_path / "one", check=True)
    ranks = []
    for rank, name in enumerate(("one", "two")):
        shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29617", "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "1"}
        own = {"RANK": str(rank), "GROUP_RANK": str(rank), "LOCAL_RANK": "0", "TORCHELASTIC_RUN_ID": "test"}
        command = [*first[:-1], "--trainer.max_steps=9", "--trainer.default_root_dir=run", "--ckpt_path=last"]
        command += ["--trainer.strategy=ddp", "--trainer.devices=1", "--trainer.num_nodes=2"]
        options = {"env": environment | shared | own, "cwd": tmp_path / name, "stderr": subprocess.PIPE, "text": True}
        ranks.append(subprocess.Popen(command, **options))
    errors = [rank.communicate(timeout=1800)[1] for rank in ranks]
    assert ranks[0].returncode == 2, errors
    assert "resuming needs a folder that all machines share" in errors[0].splitlines()[-1]
    assert "Traceback" not in errors[0] + errors[1]
    assert not list((tmp_path / "two").rglob("*.ckpt"))
