import pytest

from vos_lightning.data import KineticsDataModule


@pytest.fixture
def kinetics(tmp_path, make):
    names = [f"clip{index:07d}_000010_000020" for index in range(6)]
    for index, name in enumerate(names):
        make.video(tmp_path / "train" / f"class {index % 2}" / f"{name}.mp4", make.frames(6))
    rows = [f"c,{name[:11]},10,20,train" for name in (*names, "clip9999999_000010_000020")]
    (tmp_path / "train.csv").write_text("\n".join(["label,youtube_id,time_start,time_end,split", *rows]) + "\n")
    (tmp_path / "train" / "class 0" / f"{names[2]}.mp4").write_bytes(b"<html>404</html>")
    (tmp_path / "skip.txt").write_text(names[3] + "\n")
    return tmp_path, names


def test_it_trains_on_what_is_there(kinetics, recorder):
    root, names = kinetics
    datamodule = KineticsDataModule(
        str(root),
        2,
        0,
        crop_size=16,
        short_side=32,
        annotations=str(root / "train.csv"),
        skip_list=str(root / "skip.txt"),
    )
    with pytest.warns(UserWarning, match="not in|left out") as caught:
        rows, _ = recorder(datamodule, max_epochs=2)
    messages = [str(warning.message) for warning in caught]
    assert sum("1 of 7 clips are not in" in message for message in messages) == 1
    assert sum(names[2] in message for message in messages) == 1
    seen = sorted(name for row in rows if row["epoch"] == 1 for name in row["names"])
    assert [name.split("/")[-1] for name in seen] == [names[0], names[4], names[1], names[5]]
    assert datamodule.missing == ["clip9999999_000010_000020"]
