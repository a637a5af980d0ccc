"""Real loggers, offline: what a run leaves is read back from its files."""

import json
import struct

import numpy as np
import pytest
import yaml
from PIL import Image

from vos_lightning.io.frames import VideoFile

FRAGMENTS = __file__.rpartition("tests")[0] + "examples/trainer"


@pytest.fixture
def run(config, start, tmp_path):
    """A short fit with validation, in a process of its own."""

    def run(*arguments):
        path = config(num_val_videos=2, size=[48, 64], num_frames=6)
        common = [
            "--trainer.max_epochs=1",
            "--trainer.log_every_n_steps=4",
            f"--trainer.default_root_dir={tmp_path / 'runs'}",
        ]
        process = start(["fit", "--config", path, *common, *arguments], tmp_path / "log.txt")
        process.join()
        assert process.exitcode == 0, (tmp_path / "log.txt").read_text()
        return tmp_path / "runs"

    return run


def records(path):
    """Everything in the datastore of an offline W&B run: a log of LevelDB's format behind a header of 7 bytes."""
    from wandb.proto import wandb_internal_pb2

    data, position, parts = path.read_bytes(), 7, b""
    assert data[:4] == b":W&B"
    while position + 7 <= len(data):
        if 32768 - position % 32768 < 7:  # no entry begins in the last bytes of a block
            position += 32768 - position % 32768
            continue
        length, kind = struct.unpack("<HB", data[position + 4 : position + 7])
        parts += data[position + 7 : position + 7 + length]
        position += 7 + length
        if kind in (1, 4):  # whole, or the last of several parts
            record = wandb_internal_pb2.Record()
            record.ParseFromString(parts)
            parts = b""
            yield record


def key_of(item):
    return item.key or "/".join(item.nested_key)


def test_an_offline_wandb_run_holds_config_numbers_table_and_pictures(run):
    wandb = ["--config", f"{FRAGMENTS}/wandb.yaml", "--trainer.logger.init_args.offline=true"]
    root = run(*wandb)
    (folder,) = (root / "wandb").glob("offline-run-*")
    run_id = folder.name.rpartition("-")[2]
    assert (root / "vos_lightning" / run_id / "checkpoints" / "last.ckpt").is_file()
    config, history = {}, {}
    (store,) = folder.glob("*.wandb")
    for record in records(store):
        updates = [*record.run.config.update, *record.config.update]
        config |= {key_of(item): json.loads(item.value_json) for item in updates}
        history |= {key_of(item): json.loads(item.value_json) for item in record.history.item}
    assert config["model"]["init_args"]["width"] == 0.125
    assert config["data"]["class_path"].endswith("SyntheticDataModule")
    assert config["trainer"]["max_epochs"] == 1
    saved = yaml.safe_load((root / "vos_lightning" / run_id / "config.yaml").read_text())
    assert saved["model"] == config["model"]

    numbers = {
        "train/loss",
        "train/learning_rate",
        "train/grad_norm",
        "train/clips_per_second",
        "val/J",
        "val/F",
        "val/JF",
    }
    assert {key for key in numbers if history[key] > 0} == numbers
    table = json.loads((folder / "files" / history["val/sequences/path"]).read_text())
    assert table["columns"] == ["sequence", "objects", "frames", "J", "F", "JF"]
    assert [row[0] for row in table["data"]] == ["synthetic-1000000", "synthetic-1000001"]
    assert np.mean([row[5] for row in table["data"]]) == pytest.approx(history["val/JF"], abs=1e-6)

    media = folder / "files" / "media"
    pictures = [np.asarray(Image.open(folder / "files" / name)) for name in history["val/synthetic-1000000/filenames"]]
    assert pictures[0].shape == (2 * 48, 4 * 64, 3)
    layers = history["val/synthetic-1000000/masks/all_masks"][0]
    assert set(layers) == {"ground truth", "prediction"}
    ids = np.asarray(Image.open(folder / "files" / layers["prediction"]["path"]))
    assert ids.shape == (48, 64)
    assert {1, 2} >= set(np.unique(ids)) - {0}
    (video, _) = sorted(media.rglob("*.mp4"))
    assert len(VideoFile(video)) == 6

    run(*wandb, "--trainer.max_epochs=2", "--ckpt_path=last")  # goes on in the folder and the run of W&B
    assert [path.name for path in (root / "vos_lightning").iterdir()] == [run_id]
    assert {path.name.rpartition("-")[2] for path in (root / "wandb").glob("offline-run-*")} == {run_id}


def test_tensorboard_shows_numbers_table_and_pictures(run):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    root = run("--trainer.logger=pytorch_lightning.loggers.TensorBoardLogger", f"--trainer.logger.save_dir={'runs'}")
    events = EventAccumulator(str(root / "lightning_logs" / "version_0"))
    events.Reload()
    tags = events.Tags()
    assert {"train/loss", "train/learning_rate", "train/grad_norm", "train/clips_per_second"} <= set(tags["scalars"])
    assert {"val/J", "val/F", "val/JF"} <= set(tags["scalars"])
    assert set(tags["images"]) >= {"val/synthetic-1000000", "val/synthetic-1000001"}
    assert "val/sequences/text_summary" in tags["tensors"]


def test_without_a_logger_the_same_is_on_disk(run):
    root = run("--trainer.logger=false")
    assert (root / "checkpoints" / "last.ckpt").is_file()
    assert yaml.safe_load((root / "config.yaml").read_text())["trainer"]["logger"] is False
    rows = [line.split(",") for line in (root / "val_sequences.csv").read_text().splitlines()]
    assert [row[:2] for row in rows] == [["step", "sequence"], ["8", "synthetic-1000000"], ["8", "synthetic-1000001"]]
    names = sorted(path.relative_to(root / "pictures").as_posix() for path in (root / "pictures").rglob("*.*"))
    assert names == [
        *(f"val/step-00000008-synthetic-100000{i}.jpg" for i in (0, 1)),
        *(f"val/synthetic-100000{i}.mp4" for i in (0, 1)),
    ]
