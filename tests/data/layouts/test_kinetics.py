import pytest

from vos_lightning.data.layouts.kinetics import clip_name, kinetics_files, read_list
from vos_lightning.errors import CorruptFileError, DatasetNotFoundError

ROWS = [
    "label,youtube_id,time_start,time_end,split",
    "playing cello,-3B32lodo2M,59,69,train",
    '"arm, wrestling",a_b_000001,7,17,train',
    "dancing,gone1234567,10,20,train",
    "dancing,val12345678,10,20,val",
]


@pytest.fixture
def kinetics(tmp_path):
    (tmp_path / "train.csv").write_text("\n".join(ROWS) + "\n")
    for folder, name in [
        ("playing cello", "-3B32lodo2M_000059_000069"),
        ("arm, wrestling", "a_b_000001_000007_000017"),
    ]:
        (tmp_path / "train" / folder).mkdir(parents=True)
        (tmp_path / "train" / folder / f"{name}.mp4").write_bytes(b"")
    (tmp_path / "train" / "extra_000000_000010.mp4").write_bytes(b"")
    return tmp_path


def stems(files):
    return [path.stem for path in files.found]


def test_names_are_those_of_the_official_downloads():
    assert clip_name("abc", 5.0, 15.0) == "abc_000005_000015"


def test_the_list_decides_and_what_is_missing_is_counted(kinetics):
    files = kinetics_files(kinetics, "train", kinetics / "train.csv")
    assert stems(files) == ["-3B32lodo2M_000059_000069", "a_b_000001_000007_000017"]
    assert files.missing == ["gone1234567_000010_000020"]


def test_without_a_list_every_file_counts(kinetics):
    files = kinetics_files(kinetics)
    assert len(files.found) == 3
    assert files.missing == []


def test_folders_of_classes_or_none_at_all(kinetics):
    flat = kinetics / "flat"
    flat.mkdir()
    for path in kinetics_files(kinetics).found:
        (flat / path.name).symlink_to(path)
    assert stems(kinetics_files(flat, "train", kinetics / "train.csv")) == stems(
        kinetics_files(kinetics, "train", kinetics / "train.csv")
    )


def test_repeated_rows_count_once(tmp_path):
    (tmp_path / "list.csv").write_text("\n".join([*ROWS, ROWS[1]]))
    assert len(read_list(tmp_path / "list.csv")) == 4
    assert len(read_list(tmp_path / "list.csv", "val")) == 1


def test_a_list_without_splits_is_taken_whole(tmp_path):
    (tmp_path / "list.csv").write_text("\ufefflabel,youtube_id,time_start,time_end\nx,abc,1,11\n", encoding="utf-8")
    assert read_list(tmp_path / "list.csv", "train") == ["abc_000001_000011"]


def test_bad_lists_and_trees_are_named(kinetics):
    with pytest.raises(DatasetNotFoundError, match=r"none\.csv: can't read"):
        read_list(kinetics / "none.csv")
    (kinetics / "bad.csv").write_text("a,b\n1,2\n")
    with pytest.raises(CorruptFileError, match=r"bad.csv: no Kinetics list; its first line must name youtube_id"):
        read_list(kinetics / "bad.csv")
    (kinetics / "bad.csv").write_text("youtube_id,time_start,time_end\nx,soon,2\n")
    with pytest.raises(CorruptFileError, match="soon"):
        read_list(kinetics / "bad.csv")
    (kinetics / "other.csv").write_text("youtube_id,time_start,time_end\nx,1,2\n")
    with pytest.raises(DatasetNotFoundError, match=r"none of the 1 clips .* called like x_000001_000002\.mp4"):
        kinetics_files(kinetics, "train", kinetics / "other.csv")


def test_a_class_that_cannot_be_listed_stays_to_be_reported(kinetics, locked):
    locked(kinetics / "train" / "playing cello")
    assert stems(kinetics_files(kinetics)) == ["a_b_000001_000007_000017", "extra_000000_000010", "playing cello"]
    assert kinetics_files(kinetics, "train", kinetics / "train.csv").missing[0] == "-3B32lodo2M_000059_000069"


@pytest.mark.parametrize("time", ["inf", "-inf", "nan", "1e999", '"' + "1" * 200_000])
def test_lists_with_times_that_are_none_are_named(tmp_path, time):
    (tmp_path / "bad.csv").write_text(f"youtube_id,time_start,time_end\nx,{time},2\n")
    with pytest.raises(CorruptFileError, match=r"bad\.csv: no Kinetics list"):
        read_list(tmp_path / "bad.csv")
