"""Pictures on disk without any logger: what is in them, and that taking them changes nothing."""

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from PIL import Image

from vos_lightning import MAST
from vos_lightning.callbacks.pictures import Pictures
from vos_lightning.callbacks.predictions import PredictionWriter
from vos_lightning.callbacks.run_folder import append_table
from vos_lightning.callbacks.score_table import ScoreTable, by_sequence
from vos_lightning.callbacks.strips import SequenceStrip
from vos_lightning.data import SyntheticDataModule
from vos_lightning.io.frames import VideoFile
from vos_lightning.io.overlay import overlay

TINY = {"width": 0.125, "feature_dim": 16, "radius": 2, "tracking": {"radius": 2}}
QUIET = {"enable_progress_bar": False, "enable_model_summary": False, "enable_checkpointing": False, "logger": False}


class Drawing(MAST):
    """Draws the first frame, and random numbers besides."""

    def pictures(self, batch):
        assert not self.training
        torch.rand(3)
        frame = self(batch["frames"][0]) * 0  # a forward pass: BatchNorm would count it if it were training
        return {"first": (batch["frames"][0, 0] * 255).to(torch.uint8) + frame.sum().to(torch.uint8)}


def module():
    sizes = {"size": (48, 64), "short_side": 32, "crop_size": 32, "num_frames": 6, "num_objects": 2}
    return SyntheticDataModule(batch_size=2, num_workers=0, num_videos=4, num_val_videos=2, **sizes)


def fit(folder, *callbacks):
    pl.seed_everything(3, verbose=False)
    model = Drawing(**TINY)
    trainer = pl.Trainer(
        accelerator="cpu",
        default_root_dir=folder,
        max_epochs=1,
        callbacks=[*callbacks],
        num_sanity_val_steps=1,
        **QUIET,
    )
    trainer.fit(model, module())
    return model, torch.rand(1)


def test_pictures_are_on_disk_and_leave_no_trace_in_the_run(tmp_path):
    shown, draw = fit(tmp_path / "shown", Pictures(every_n_steps=1, sequences=1, frames=3, video_frames=4, size=32))
    plain, same_draw = fit(tmp_path / "plain")
    assert torch.equal(draw, same_draw)
    assert all(torch.equal(value, plain.state_dict()[name]) for name, value in shown.state_dict().items())
    assert not (tmp_path / "plain").exists()
    names = sorted(path.relative_to(tmp_path / "shown/pictures").as_posix() for path in tmp_path.rglob("*.*"))
    assert names == [
        "train/step-00000001-first.png",
        "train/step-00000002-first.png",
        "val/step-00000002-synthetic-1000000.jpg",
        "val/synthetic-1000000.mp4",
    ]
    strip = Image.open(tmp_path / "shown/pictures" / names[2])
    assert strip.size == (3 * 32, 2 * 24)
    video = VideoFile(tmp_path / "shown/pictures" / names[3])
    assert (len(video), video.size) == (4, (24, 32))


def test_a_strip_shows_truth_above_prediction(tmp_path):
    data = module()
    data.setup("validate")
    item = data.val_dataloader().dataset[0]
    strip = SequenceStrip(item, frames=2, video_frames=0, size=1000, video=None)
    predictions = [np.roll(item["targets"][t], 3, 0) for t in range(6)]
    for t, frame in enumerate(item["frames"]):
        strip.add(t, frame, predictions[t])
    assert list(strip.columns) == [1, 5]
    picture = strip.picture()
    assert np.array_equal(picture[:48, :64], overlay(item["frames"][1], item["targets"][1]))
    assert np.array_equal(picture[48:, 64:], overlay(item["frames"][5], predictions[5]))
    assert strip.caption() == "ground truth above prediction, frames 1, 5"
    assert strip.close() is None


def test_the_table_has_means_over_the_objects_of_each_sequence(tmp_path):
    objects = [
        {"sequence": "a", "object": 1, "frames": 4, "J": 0.2, "F": 0.4},
        {"sequence": "a", "object": 2, "frames": 4, "J": 0.6, "F": 0.8},
        {"sequence": "b", "object": 1, "frames": 9, "J": 1.0, "F": 0.0},
    ]
    rows = by_sequence(objects)
    assert [row[:3] for row in rows] == [["a", 2, 4], ["b", 1, 9]]
    assert [row[3:] for row in rows] == [pytest.approx([0.4, 0.6, 0.5]), pytest.approx([1.0, 0.0, 0.5])]


def test_no_name_in_a_table_is_a_formula(tmp_path):
    append_table(tmp_path / "a.csv", ("sequence", "J"), [["=cmd|' /C calc'!A0", -0.5]])
    assert (tmp_path / "a.csv").read_text().splitlines() == ["sequence,J", "'=cmd|' /C calc'!A0,-0.5"]


def test_the_table_of_a_test_run_agrees_with_its_scores(tmp_path):
    trainer = pl.Trainer(accelerator="cpu", default_root_dir=tmp_path, callbacks=[ScoreTable()], **QUIET)
    (scores,) = trainer.test(MAST(**TINY), module(), verbose=False)
    rows = [line.split(",") for line in (tmp_path / "test_sequences.csv").read_text().splitlines()]
    assert rows[0] == ["step", "sequence", "objects", "frames", "J", "F", "JF"]
    assert np.mean([float(row[6]) for row in rows[1:]]) == pytest.approx(scores["test/JF"])


def test_predict_writes_an_overlay_video_of_each_sequence(tmp_path):
    writer = PredictionWriter(str(tmp_path / "masks"), overlay=True)
    trainer = pl.Trainer(accelerator="cpu", default_root_dir=tmp_path, callbacks=[writer], **QUIET)
    trainer.predict(MAST(**TINY), module(), return_predictions=False)
    for name in ("synthetic-1000000", "synthetic-1000001"):
        assert len(VideoFile(tmp_path / "masks" / name / "overlay.mp4")) == 6
        assert len(list((tmp_path / "masks" / name).glob("*.png"))) == 6
