import shutil
import threading
import tracemalloc

import numpy as np
import pytest
from PIL import Image

from vos_lightning.errors import CorruptFileError, DatasetNotFoundError, MaskError, VOSError
from vos_lightning.evaluation import scoring
from vos_lightning.evaluation.scoring import evaluate_folder
from vos_lightning.metrics import JFMeasure


@pytest.fixture
def folders(tmp_path, save_masks):
    """Writes one sequence called `boat` from arrays of predicted and annotated ids."""

    def write(predictions, annotations, **options):
        save_masks(tmp_path / "predictions" / "boat", predictions, **options)
        save_masks(tmp_path / "annotations" / "boat", annotations, **options)
        return tmp_path / "predictions", tmp_path / "annotations"

    return write


def test_numbers_are_those_of_the_metric(results, scene):
    report = evaluate_folder(*results)
    metric = JFMeasure()
    for name, frames in (("boat", 7), ("cow", 9)):
        metric.update(scene(frames, shift=2), scene(frames), name)
    assert [(one.sequence, one.object, *one.J, *one.F) for one in report.objects] == [
        (row["sequence"], row["object"], *(row[kind + end] for kind in "JF" for end in ("", "_recall", "_decay")))
        for row in metric.per_object()
    ]
    assert report.mean()["J&F-Mean"] == pytest.approx(metric.compute()["JF"].item(), abs=1e-15)
    assert (report.frames, report.protocol, report.notes) == (5 + 7, "davis2017", ())
    assert [one.frames for one in report.sequences] == [
        tuple(f"{index:05d}" for index in range(1, frames - 1)) for frames in (7, 9)
    ]


def test_davis2016_merges_all_labels(folders, scene):
    annotations = np.where(scene(5) > 0, 255, 0).astype(np.uint8)
    report = evaluate_folder(*folders(scene(5), annotations, mode="L"), "davis2016")
    assert [(one.object, one.J.mean, one.F.mean) for one in report.objects] == [(1, 1.0, 1.0)]


def test_void_is_background_in_davis2017(folders, scene):
    annotations = scene(5, ids=(1,))
    annotations[:, 0, :] = 255
    predictions = scene(5, ids=(1,))
    predictions[:, 0, :4] = 1
    (one,) = evaluate_folder(*folders(predictions, annotations)).objects
    assert one.J.mean == 9 * 14 / (9 * 14 + 4)


def test_ids_beyond_those_of_the_first_mask_are_noted_and_not_scored(folders, scene, monkeypatch):
    monkeypatch.setattr(scoring, "_CHUNK", 1)
    annotations = scene(6, ids=(1,))
    predictions = annotations.copy()
    annotations[2:, 30:, :] = 2
    report = evaluate_folder(*folders(predictions, annotations))
    assert [one.object for one in report.objects] == [1]
    assert report.notes == ("boat: id 2, annotated from 00002 on, is not scored; the objects are 1",)
    with pytest.raises(VOSError, match="strict: boat: id 2, annotated from 00002 on, is not scored"):
        evaluate_folder(*folders(predictions, annotations), strict=True)
    with pytest.raises(MaskError, match=r"00002\.png: holds id 2, but the annotated objects are 1;"):
        evaluate_folder(*folders(annotations, annotations))


def test_gaps_in_the_numbering_are_noted(folders, scene):
    masks = scene(6, ids=(1, 3))
    predictions, annotations = folders(masks, masks)
    report = evaluate_folder(predictions, annotations)
    assert [one.object for one in report.objects] == [1, 3]
    assert report.notes == ("boat: id 2 is in no annotation and left out; the official code scores it 1",)
    masks[3, 35:, :] = 2
    with pytest.raises(MaskError, match=r"predictions.boat: holds id 2, which no annotation of boat has"):
        evaluate_folder(*folders(masks, scene(6, ids=(1, 3))))


def test_vanished_objects_count_as_found_where_nothing_is_predicted(folders, scene):
    annotations = scene(6, ids=(1,))
    annotations[3:] = 0
    report = evaluate_folder(*folders(annotations, annotations))
    assert report.mean()["J&F-Mean"] == 1.0
    assert report.empty_share == 0.5


def test_only_predicted_sequences_are_scored_and_the_rest_is_noted(results):
    predictions, annotations = results
    shutil.rmtree(predictions / "cow")
    (predictions / "overlays").mkdir()
    (predictions / "scores.json").write_text("{}")
    (predictions / ".cache").mkdir()
    report = evaluate_folder(predictions, annotations)
    assert [one.name for one in report.sequences] == ["boat"]
    assert report.notes == (f"not scored, for there are no predictions: cow of {annotations}",)
    with pytest.raises(VOSError, match="strict: not scored, for there are no predictions: cow"):
        evaluate_folder(predictions, annotations, strict=True)


def test_links_are_followed(results, tmp_path):
    predictions, annotations = results
    (tmp_path / "elsewhere").mkdir()
    for name in ("boat", "cow"):
        (tmp_path / "elsewhere" / name).symlink_to(predictions / name, target_is_directory=True)
    assert (
        evaluate_folder(tmp_path / "elsewhere", annotations).mean() == evaluate_folder(predictions, annotations).mean()
    )


def test_superfluous_and_unscored_frames_are_noted(results):
    predictions, annotations = results
    shutil.copy(predictions / "boat" / "00001.png", predictions / "boat" / "00099.png")
    (predictions / "boat" / "00000.png").unlink()
    notes = evaluate_folder(predictions, annotations).notes
    assert notes == (
        f"{predictions / 'boat'}: no prediction for 00000, which the protocol doesn't score; a server may want it",
        f"{predictions / 'boat'}: 00099 not annotated and so not scored",
    )
    with pytest.raises(VOSError, match=r"strict: .* \(and 1 more\)"):
        evaluate_folder(predictions, annotations, strict=True)


def test_strict_accepts_complete_results(results):
    assert evaluate_folder(*results, strict=True).notes == ()


def test_too_short_sequences_are_noted(results, save_masks, scene):
    predictions, annotations = results
    for folder in results:
        save_masks(folder / "short", scene(2))
    assert evaluate_folder(predictions, annotations).notes == (
        "short: left out, for none of its 2 frames is left without the first and the last",
    )
    for folder in results:
        for name in ("boat", "cow"):
            shutil.rmtree(folder / name)
    with pytest.raises(VOSError, match="no frame is left to score"):
        evaluate_folder(predictions, annotations)


def test_masks_that_are_not_scored_are_looked_at(results):
    predictions = results[0]
    expected = evaluate_folder(*results).to_dict()
    (predictions / "boat" / "00000.png").write_bytes(b"no image")
    Image.fromarray(np.full((40, 60), 7, np.uint8)).save(predictions / "boat" / "00006.png")
    Image.fromarray(np.zeros((20, 30), np.uint8)).save(predictions / "cow" / "00000.png")
    Image.fromarray(np.zeros((40, 60, 3), np.uint8)).save(predictions / "cow" / "00008.png")
    report = evaluate_folder(*results)
    assert report.to_dict() == expected
    for note, start, fault in zip(
        report.notes,
        ("boat/00000", "boat/00006", "cow/00000", "cow/00008"),
        ("cannot be decoded", "holds id 7, but the annotated objects are 1, 2", "is 30x20 pixels", "RGB"),
        strict=True,
    ):
        assert note.startswith(f"not scored, but wrong: {predictions}/{start}.png: ")
        assert fault in note
    with pytest.raises(VOSError, match=r"strict: not scored, but wrong: .*00000\.png: .* \(and 3 more\)"):
        evaluate_folder(*results, strict=True)


@pytest.mark.parametrize("workers", [0, -1])
def test_work_needs_a_worker(results, workers):
    with pytest.raises(VOSError, match=f"--workers {workers}: give at least one"):
        evaluate_folder(*results, workers=workers)


def drop_frames(predictions, annotations):
    for index in (2, 3):
        (predictions / "boat" / f"{index:05d}.png").unlink()


def shout(predictions, annotations):
    (predictions / "boat" / "00002.png").rename(predictions / "boat" / "00002.PNG")


def shrink(predictions, annotations):
    Image.fromarray(np.zeros((20, 30), dtype=np.uint8)).save(predictions / "boat" / "00002.png")


def paint_rgb(predictions, annotations):
    Image.fromarray(np.zeros((40, 60, 3), dtype=np.uint8)).save(predictions / "boat" / "00002.png")


def smooth(predictions, annotations):
    ramp = np.tile(np.arange(60, dtype=np.uint8) * 4, (40, 1))
    Image.fromarray(ramp).save(predictions / "boat" / "00002.png")


def truncate(predictions, annotations):
    path = annotations / "cow" / "00004.png"
    path.write_bytes(path.read_bytes()[:60])


def rename_sequence(predictions, annotations):
    (predictions / "boat").rename(predictions / "ship")


def empty_sequence(predictions, annotations):
    for path in (predictions / "boat").iterdir():
        path.unlink()


def no_object(predictions, annotations):
    Image.fromarray(np.zeros((40, 60), dtype=np.uint8)).save(annotations / "boat" / "00000.png")


def only_void(predictions, annotations):
    Image.fromarray(np.full((40, 60), 255, dtype=np.uint8)).save(annotations / "boat" / "00000.png")


def predict_void(predictions, annotations):
    Image.fromarray(np.full((40, 60), 255, dtype=np.uint8)).save(predictions / "boat" / "00002.png")


def nothing_predicted(predictions, annotations):
    shutil.rmtree(predictions)
    predictions.mkdir()


def nothing_there(predictions, annotations):
    shutil.rmtree(annotations)


def masks_without_folder(predictions, annotations):
    for path in (predictions / "boat").iterdir():
        path.rename(predictions / path.name)
    shutil.rmtree(predictions / "boat")
    shutil.rmtree(predictions / "cow")


def whole_data_set(predictions, annotations):
    for name in ("boat", "cow"):
        (annotations / "Annotations" / "480p").mkdir(parents=True, exist_ok=True)
        (annotations / name).rename(annotations / "Annotations" / "480p" / name)


@pytest.mark.parametrize(
    ("damage", "error", "message"),
    [
        (drop_frames, VOSError, r"predictions.boat: lacks 00002\.png, 00003\.png of the 5 frames to score"),
        (shout, VOSError, r"boat.00002\.PNG: .* rename it to 00002\.png"),
        (shrink, MaskError, r"predictions.boat.00002\.png: is 30x20 pixels, .*00002\.png is 60x40"),
        (paint_rgb, MaskError, r"predictions.boat.00002\.png: .*RGB"),
        (smooth, MaskError, r"predictions.boat.00002\.png: "),
        (truncate, CorruptFileError, r"annotations.cow.00004\.png"),
        (rename_sequence, VOSError, r"predictions.ship: there is no sequence of that name"),
        (empty_sequence, VOSError, r"predictions.boat: holds no PNG"),
        (no_object, MaskError, r"annotations.boat.00000\.png: the first annotation holds no object"),
        (only_void, MaskError, r"annotations.boat.00000\.png: the only id is 255.*davis2016"),
        (predict_void, MaskError, r"predictions.boat.00002\.png: holds id 255.*cannot be predicted"),
        (nothing_predicted, DatasetNotFoundError, r"predictions: holds no folder with PNGs"),
        (nothing_there, DatasetNotFoundError, r"annotations: no such folder"),
        (masks_without_folder, DatasetNotFoundError, r"predictions: holds PNGs itself"),
        (whole_data_set, DatasetNotFoundError, r"annotations: .* did you mean .*Annotations.480p\?"),
    ],
)
def test_faults_are_named_in_one_line(results, damage, error, message):
    damage(*results)
    with pytest.raises(error, match=message) as raised:
        evaluate_folder(*results)
    assert "\n" not in str(raised.value)


def test_unknown_protocols_are_refused(results):
    with pytest.raises(VOSError, match="unknown protocol 'davis2018': choose one of davis2017, davis2016, youtube-vos"):
        evaluate_folder(*results, "davis2018")


@pytest.mark.parametrize("threads", [1, 2])
def test_several_processes_give_the_numbers_of_one(results, monkeypatch, threads):
    alone = evaluate_folder(*results, workers=1)
    monkeypatch.setattr(scoring, "_CHUNK", 2)
    monkeypatch.setattr(scoring, "_WORTH_WORKERS", 0)
    stop = threading.Event()
    if threads == 2:
        threading.Thread(target=stop.wait, daemon=True).start()
    progress = []
    try:
        shared = evaluate_folder(*results, workers=2, on_progress=lambda done, total: progress.append((done, total)))
    finally:
        stop.set()
    assert shared.to_dict() == alone.to_dict()
    assert progress[-1] == (12, 12)
    assert [done for done, _ in progress] == sorted({done for done, _ in progress})


def test_faults_reach_us_from_other_processes(results, monkeypatch):
    monkeypatch.setattr(scoring, "_WORTH_WORKERS", 0)
    shrink(*results)
    with pytest.raises(MaskError, match=r"00002\.png: is 30x20"):
        evaluate_folder(*results, workers=2)


def test_memory_does_not_grow_with_the_sequence(folders, scene):
    def peak(frames):
        paths = folders(scene(frames, size=(120, 160)), scene(frames, size=(120, 160)))
        tracemalloc.start()
        tracemalloc.reset_peak()  # where it had been started already
        before = tracemalloc.get_traced_memory()[0]
        evaluate_folder(*paths, workers=1)
        used = tracemalloc.get_traced_memory()[1] - before
        tracemalloc.stop()
        return used

    short = peak(20)
    assert peak(200) < short + 10 * 120 * 160, "180 frames more may cost less memory than 10 masks"
