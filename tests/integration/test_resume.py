"""Runs that are stopped or killed at random moments and resumed: the same run as the unbroken one."""

import contextlib
import os
import random
import signal
import time

import pytest
import torch

STEPS = 30
EXIT_CODES = {signal.SIGTERM: 143, signal.SIGINT: 130, signal.SIGUSR1: 138, signal.SIGKILL: -9}


def arguments(config, root, record, *more):
    options = {
        "trainer.max_steps": STEPS,
        "trainer.max_epochs": -1,
        "trainer.default_root_dir": root,
        "trainer.log_every_n_steps": 5,
        "last_checkpoint.every_n_steps": 7,
        "pictures.video_frames": 0,
    }
    callback = ["--trainer.callbacks+=recorder.StepRecorder", f"--trainer.callbacks.path={record}"]
    return ["fit", "--config", config, *(f"--{key}={value}" for key, value in options.items()), *callback, *more]


def steps(record):
    """(step, what was seen in it) as written so far, whole lines only."""
    lines = record.read_text().split("\n")[:-1] if record.exists() else []
    return [(int(line.partition(" ")[0]), line) for line in lines]


@pytest.fixture
def unbroken(config, start, tmp_path):
    """The lines of a run that nobody disturbs, and how long its steps took."""
    record = tmp_path / "unbroken.txt"
    process = start(arguments(config(), tmp_path / "unbroken", record), tmp_path / "unbroken.log")
    while process.is_alive() and not steps(record):
        time.sleep(0.005)
    since = time.monotonic()
    process.join()
    assert process.exitcode == 0, (tmp_path / "unbroken.log").read_text()
    assert [step for step, _ in steps(record)] == list(range(1, STEPS + 1))
    return dict(steps(record)), time.monotonic() - since


def stop_and_resume(start, config, folder, number, delay, unbroken):
    """Stop one run `delay` seconds after its first step, resume it, and compare.

    Returns:
        How many steps had been done.
    """
    folder.mkdir()
    record, log = folder / "steps.txt", folder / "log.txt"
    process = start(arguments(config, folder / "run", record), log)
    while process.is_alive() and not steps(record):
        time.sleep(0.005)
    time.sleep(delay)
    with contextlib.suppress(ProcessLookupError):  # it may have ended just now
        os.kill(process.pid, number)
    process.join()
    before = steps(record)
    if len(before) < STEPS:  # the signal may have come after the last step
        assert process.exitcode == EXIT_CODES[number], log.read_text()
    for path in folder.rglob("*.ckpt"):
        assert torch.load(path, weights_only=True)["hyper_parameters"]["width"] == 0.125
    assert not list(folder.rglob("*.mp4*"))

    again = start(arguments(config, folder / "run", record, "--ckpt_path=last"), log)
    again.join()
    assert again.exitcode == 0, log.read_text()
    after = steps(record)[len(before) :]
    assert dict(before + after) == unbroken
    assert all(unbroken[step] == line for step, line in before + after)
    assert [step for step, _ in after] == list(range(after[0][0], STEPS + 1)) if after else len(before) == STEPS
    return len(before), after[0][0] if after else STEPS + 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_stopped_run_goes_on_as_if_nothing_had_been(number, config, start, tmp_path, unbroken):
    lines, seconds = unbroken
    done, first = stop_and_resume(start, config(), tmp_path / "one", number, seconds / 2, lines)
    assert first <= done + 1
    folders = [path.name for path in (tmp_path / "one" / "run" / "lightning_logs").iterdir()]
    assert folders == ["version_0"]  # it has gone on in the folder of the run


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGKILL])
def test_runs_stopped_at_random_moments(number, config, start, tmp_path, unbroken):
    lines, seconds = unbroken
    draw = random.Random(number)
    lost = []
    for attempt in range(10):
        delay = draw.uniform(0, seconds)
        done, first = stop_and_resume(start, config(), tmp_path / str(attempt), number, delay, lines)
        lost.append(done + 1 - first)
    assert max(lost) <= 7  # as often as checkpoints are written
