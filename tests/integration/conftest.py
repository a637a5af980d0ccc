"""Runs of the command line in processes of their own, with tiny models on generated videos."""

import atexit
import multiprocessing
import os
import signal
import sys
from pathlib import Path

import pytest
import yaml

HERE = Path(__file__).parent
MODELS = {
    "mast": {
        "class_path": "vos_lightning.MAST",
        "init_args": {"width": 0.125, "feature_dim": 16, "radius": 2, "tracking": {"radius": 3}, "learning_rate": 3e-3},
    },
}
MODELS["memory"] = {
    "class_path": "vos_lightning.MAST",
    "init_args": MODELS["mast"]["init_args"] | {"momentum": 0.9},
}
MODELS["ctvos"] = {
    "class_path": "vos_lightning.CTVOS",
    "init_args": {"width": 0.125, "output_stride": 8, "key_dim": 16, "value_dim": 16, "learning_rate": 3e-3},
}
DATA = {
    "batch_size": 2,
    "num_workers": 0,
    "size": [32, 48],
    "short_side": 32,
    "crop_size": 32,
    "num_videos": 4,
    "num_val_videos": 1,
    "num_frames": 5,
    "num_objects": 2,
    "clips_per_video": 4,
}
PRELOADED = [f"vos_lightning.{module}" for module in ("cli", "lightning_cli.command", "tasks.mast", "data")]


@pytest.fixture
def config(tmp_path):
    """Write the config of a tiny run and give its path."""

    def write(model="mast", **data):
        path = tmp_path / "config.yaml"
        module = {"class_path": "vos_lightning.data.SyntheticDataModule", "init_args": DATA | data}
        trainer = {"accelerator": "cpu", "enable_progress_bar": False, "enable_model_summary": False}
        path.write_text(yaml.safe_dump({"model": MODELS[model], "data": module, "trainer": trainer}))
        return path

    return write


def _run(arguments, output, environment):
    os.chdir(output.parent)
    os.environ.update({name: str(value) for name, value in environment.items()})
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where the tests run in the background
    with output.open("ab") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    import torch

    torch.set_num_threads(1)
    sys.path.insert(0, str(HERE))
    sys.argv = ["vos-lightning", *arguments]
    from vos_lightning.cli import main

    try:
        sys.exit(main(arguments))
    finally:
        atexit._run_exitfuncs()  # processes of multiprocessing leave without: W&B completes its files there


@pytest.fixture(scope="session")
def start():
    """Start the command line in a process forked from one that has imported everything: a second less each."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)

    def start(arguments, output, environment=()):
        process = context.Process(target=_run, args=([str(one) for one in arguments], output, dict(environment)))
        process.start()
        return process

    return start


@pytest.fixture
def in_this_process(monkeypatch):
    """Run the command line in the test's own process."""
    monkeypatch.syspath_prepend(str(HERE))

    def run(*arguments):
        from vos_lightning.cli import main

        return main([str(one) for one in arguments])

    return run


@pytest.fixture
def environment():
    """For processes that are started anew: they find `recorder.py`, and take one core each."""
    path = os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")])
    return os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
