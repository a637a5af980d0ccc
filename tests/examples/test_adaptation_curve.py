"""The example draws and logs the curve."""

import csv
import importlib.util
from pathlib import Path

from PIL import Image

from vos_lightning.io.masks import write_mask

EXAMPLE = Path(__file__).parent.parent.parent / "examples" / "adaptation_curve.py"


def test_the_curve_of_a_small_video(moving_square, tmp_path):
    spec = importlib.util.spec_from_file_location("adaptation_curve", EXAMPLE)
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    for name in ("video", "masks"):
        (tmp_path / name).mkdir()
    for t, (frame, mask) in enumerate(zip(*moving_square, strict=True)):
        Image.fromarray(frame).save(tmp_path / "video" / f"{t}.png")
        write_mask(tmp_path / "masks" / f"{t}.png", mask)
    masks = str(tmp_path / "masks")
    budget = ["--steps=4", "--every=2", "--size=32", "--output", str(tmp_path / "curve")]
    example.main([str(tmp_path / "video"), masks, "--truth", masks, *budget])
    rows = list(csv.DictReader((tmp_path / "curve" / "metrics.csv").open()))
    assert [row["step"] for row in rows] == ["2", "4"]
    assert all(row["adapter/JF"] == row["adapter/JF_propagated"] for row in rows)
    assert (tmp_path / "curve" / "curve.png").stat().st_size > 1000
