import csv
import json
import os
import pty
import shutil
import subprocess
import sys
import threading

import pytest

from vos_lightning.errors import VOSError
from vos_lightning.evaluation.command import evaluate_command
from vos_lightning.evaluation.scoring import evaluate_folder

RUN = (
    "import sys; from vos_lightning.evaluation.command import evaluate_command as run; run([sys.argv[1]], sys.argv[2])"
)
MEASURES = ["J&F-Mean", "J-Mean", "J-Recall", "J-Decay", "F-Mean", "F-Recall", "F-Decay"]


def test_json_and_csv_hold_everything_unrounded(results, tmp_path):
    assert evaluate_command([results[0]], results[1], json=tmp_path / "s.json", csv=tmp_path / "s.csv") == 0
    content = json.loads((tmp_path / "s.json").read_text())
    report = evaluate_folder(*results)
    assert list(content) == ["mean", "per_object", "protocol", "frames", "objects"]
    assert content["mean"] == report.mean()
    assert list(content["mean"]) == MEASURES
    assert (content["protocol"], content["frames"], content["objects"]) == ("davis2017", 12, 4)
    with (tmp_path / "s.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["sequence"], int(row["object"])) for row in rows] == [
        (one["sequence"], one["object"]) for one in content["per_object"]
    ]
    for row, one in zip(rows, content["per_object"], strict=True):
        assert {name: float(row[name]) for name in MEASURES} == {name: one[name] for name in MEASURES}


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@SUM(A1)"])
def test_no_name_in_a_csv_is_a_formula(results, tmp_path, name):
    for folder in results:
        shutil.copytree(folder / "boat", folder / name)
    assert evaluate_command([results[0]], results[1], csv=tmp_path / "s.csv") == 0
    with (tmp_path / "s.csv").open() as file:
        names = {row["sequence"] for row in csv.DictReader(file)}
    assert names == {"boat", "cow", f"'{name}"}


def test_piped_output_is_plain(results):
    longer = results[0] / ("a-sequence-of-a-name-that-is-much-wider-than-any-terminal-" * 2)
    for folder in results:
        shutil.copytree(folder / "boat", folder / longer.name)
    done = subprocess.run(
        [sys.executable, "-c", RUN, *map(str, results)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "COLUMNS": "40", "FORCE_COLOR": "1"},
    )
    lines = done.stdout.splitlines()
    assert done.stderr == ""
    assert "\x1b" not in done.stdout
    assert lines[0] == f"{results[0]} (davis2017, 17 frames, 6 objects)"
    assert lines[1].split() == ["sequence", "object", "J&F", "J", "J-Recall", "J-Decay", "F", "F-Recall", "F-Decay"]
    assert len(lines) == 2 + 6 + 1
    assert lines[2].startswith(longer.name + " ")
    assert lines[-1].split()[:2] == ["mean", f"{evaluate_folder(*results).mean()['J&F-Mean']:.3f}"]


def test_a_terminal_gets_a_drawn_table(results):
    leader, follower = pty.openpty()
    subprocess.run(
        [sys.executable, "-c", RUN, *map(str, results)],
        stdout=follower,
        stderr=follower,
        check=True,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "100"},
    )
    os.close(follower)
    shown = b""
    try:
        while chunk := os.read(leader, 65536):
            shown += chunk
    except OSError:
        pass
    finally:
        os.close(leader)
    assert "────" in shown.decode()
    assert "boat" in shown.decode()


def test_scoring_needs_neither_torch_nor_lightning(results):
    code = (
        "import sys; from vos_lightning.evaluation.command import evaluate_command as run; "
        "run([sys.argv[1]], sys.argv[2], html=sys.argv[3]); "
        "print({'torch', 'pytorch_lightning', 'torchmetrics'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, results), str(results[0].parent / "r.html")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == "set()"


def test_several_results_are_compared(results, tmp_path, capsys):
    shutil.copytree(results[1], tmp_path / "perfect")
    folders = [results[0], tmp_path / "perfect"]
    evaluate_command(folders, results[1], json=tmp_path / "c.json", csv=tmp_path / "c.csv")
    ours = evaluate_folder(*results)
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    boat = ours.sequences[0].mean
    assert ["boat", f"{boat:.3f}", "1.000", f"+{1 - boat:.3f}"] in lines
    assert ["perfect", *["1.000"] * 3, "0.000", "1.000", "1.000", "0.000"] in lines
    content = json.loads((tmp_path / "c.json").read_text())
    assert content["results"]["predictions"] == json.loads(json.dumps(ours.to_dict()))
    assert content["per_sequence"][0] == {
        "sequence": "boat",
        "J&F-Mean": {"predictions": boat, "perfect": 1.0},
        "difference": {"perfect": 1 - boat},
    }
    with (tmp_path / "c.csv").open() as file:
        assert [row["result"] for row in csv.DictReader(file)] == [str(folder) for folder in folders for _ in range(4)]


def test_results_of_one_name_are_told_apart(results, tmp_path, capsys):
    shutil.copytree(results[1], tmp_path / "other" / "predictions")
    evaluate_command([results[0], tmp_path / "other" / "predictions"], results[1])
    assert str(tmp_path / "other" / "predictions") in capsys.readouterr().out


def test_results_of_other_sequences_cannot_be_compared(results, tmp_path):
    shutil.copytree(results[1], tmp_path / "partial")
    shutil.rmtree(tmp_path / "partial" / "cow")
    with pytest.raises(VOSError, match="can't be compared: only one of them has cow"):
        evaluate_command([results[0], tmp_path / "partial"], results[1])


def test_notes_go_to_the_error_stream(results, capsys):
    shutil.rmtree(results[0] / "cow")
    evaluate_command([results[0]], results[1])
    captured = capsys.readouterr()
    assert captured.err == f"note: not scored, for there are no predictions: cow of {results[1]}\n"
    assert "not scored" not in captured.out


def test_any_locale_will_do(results, tmp_path):
    folder = results[0].rename(tmp_path / "Läufe\udcff\x1b[31m\nred")
    (folder / "boat").rename(folder / "bö\tat")
    (results[1] / "boat").rename(results[1] / "bö\tat")
    code = RUN.replace("[sys.argv[1]], sys.argv[2]", "sys.argv[1:3], sys.argv[3], csv=sys.argv[4], json=sys.argv[5]")
    for locale, shown in (("ascii", (r"L\xe4ufe", r"b\xf6\tat", r"\xb1")), ("utf-8", ("Läufe", r"bö\tat", "±"))):
        done = subprocess.run(
            [sys.executable, "-c", code, folder, results[1], results[1], tmp_path / "s.csv", tmp_path / "s.json"],
            capture_output=True,
            check=True,
            env={**os.environ, "LC_ALL": "C", "PYTHONIOENCODING": locale},
        )
        lines = done.stdout.decode(locale).splitlines()
        name, sequence, difference = shown
        assert [line.split() for line in lines if line.startswith(sequence)]
        assert any(line.split()[1:4] == [name + r"\udcff\x1b[31m\nred", "annotations", difference] for line in lines)
        assert "\x1b" not in "".join(lines)
    assert "bö\tat" in {row["sequence"] for row in json.loads((tmp_path / "s.json").read_text())["per_sequence"]}


def test_options_without_effect_are_refused(results, tmp_path):
    for options, message in (
        ({"meta": "m.json"}, "--meta has no effect on --protocol davis2017; leave it out"),
        ({"protocol": "davis2016", "train_meta": "m.json"}, "--train-meta has no effect on --protocol davis2016"),
        ({"frames": tmp_path}, "--frames has no effect on a call without --html"),
        ({"frames": tmp_path / "gone", "html": tmp_path / "r.html"}, "gone: no such folder"),
        ({"workers": 0}, "--workers 0: give at least one"),
        ({"workers": -2}, "--workers -2: give at least one"),
    ):
        with pytest.raises(VOSError, match=message):
            evaluate_command([results[0]], results[1], **options)
    assert not (tmp_path / "r.html").exists()


def test_one_file_for_two_kinds_is_refused(results, tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "out")
    for other in ("out", "link", "../" + tmp_path.name + "/out"):
        with pytest.raises(VOSError, match=r"is to hold two of --json, --csv and --html"):
            evaluate_command([results[0]], results[1], json=tmp_path / "out", csv=tmp_path / other)


@pytest.mark.parametrize("kind", ["json", "csv", "html"])
def test_a_pipe_receives_the_scores(results, tmp_path, kind):
    os.mkfifo(tmp_path / "pipe")
    read = list[str]()
    reader = threading.Thread(target=lambda: read.append((tmp_path / "pipe").read_text("utf-8")), daemon=True)
    reader.start()
    evaluate_command([results[0]], results[1], **{kind: tmp_path / "pipe"})
    reader.join(10)
    evaluate_command([results[0]], results[1], **{kind: tmp_path / "file"})
    assert read == [(tmp_path / "file").read_text("utf-8")]
    assert (tmp_path / "pipe").is_fifo()


@pytest.mark.parametrize("kind", ["json", "csv", "html"])
def test_a_folder_as_target_is_refused_before_the_work(tmp_path, kind):
    with pytest.raises(VOSError, match="cannot be written, for it is a folder"):
        evaluate_command([tmp_path / "nothing to score"], tmp_path, **{kind: tmp_path})


@pytest.mark.parametrize("kind", ["json", "csv", "html"])
def test_a_file_that_cannot_be_written_is_named_before_the_work(tmp_path, kind):
    with pytest.raises(VOSError, match=r"nowhere.scores: cannot be written, for there is no folder"):
        evaluate_command([tmp_path / "predictions"], tmp_path, **{kind: tmp_path / "nowhere" / "scores"})


@pytest.mark.parametrize("several", [False, True])
def test_a_report_replaces_an_earlier_one_and_nothing_else(results, tmp_path, several):
    folders = [results[0]] * (1 + several)
    files = {kind: tmp_path / f"scores.{kind}" for kind in ("json", "csv", "html")}
    for path in files.values():
        path.touch()  # as mktemp does
    evaluate_command(folders, results[1], **files)
    first = {kind: path.read_bytes() for kind, path in files.items()}
    evaluate_command(folders, results[1], **files)
    assert {kind: path.read_bytes() for kind, path in files.items()} == first
    foreign = [b"work", b'{"mean": 1}', b"[1]", b"sequence,object\n", b"<title>Mine</title>", *first.values()]
    for kind, path in files.items():
        for content in foreign:
            if content == first[kind]:
                continue
            path.write_bytes(content)
            with pytest.raises(VOSError, match=rf"scores\.{kind}: is there already, and is no earlier report"):
                evaluate_command(folders, results[1], **{kind: path})
            assert path.read_bytes() == content


@pytest.mark.parametrize("kind", ["json", "csv", "html"])
def test_no_mask_is_replaced_by_a_report(results, kind):
    mask = next(results[0].rglob("*.png"))
    before = mask.read_bytes()
    with pytest.raises(VOSError, match="is no earlier report"):
        evaluate_command([results[0]], results[1], **{kind: mask})
    assert mask.read_bytes() == before


def test_categories_of_the_training_set(tmp_path, save_masks, scene):
    for folder in ("results", "Annotations"):
        save_masks(tmp_path / folder / "video", scene(4, ids=(1,)))
    frames = [f"{index:05d}" for index in range(4)]
    for name, category in (("meta.json", "spider"), ("train.json", "spider")):
        objects = {"1": {"category": category, "frames": frames}}
        (tmp_path / name).write_text(json.dumps({"videos": {"video": {"objects": objects}}}))
    arguments = [tmp_path / "results"], tmp_path / "Annotations"
    evaluate_command(*arguments, protocol="youtube-vos", json=tmp_path / "a.json")
    evaluate_command(*arguments, protocol="youtube-vos", json=tmp_path / "b.json", train_meta=tmp_path / "train.json")
    means = [json.loads((tmp_path / name).read_text())["mean"] for name in ("a.json", "b.json")]
    assert [(mean["J-Seen"], mean["J-Unseen"]) for mean in means] == [(None, 1.0), (1.0, None)]
