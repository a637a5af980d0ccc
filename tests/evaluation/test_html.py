import base64
import json
import re
import shutil
from html import unescape
from html.parser import HTMLParser
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from vos_lightning.errors import MaskError
from vos_lightning.evaluation.chart import Series, chart
from vos_lightning.evaluation.command import evaluate_command
from vos_lightning.evaluation.html import html_report, worst_frames
from vos_lightning.evaluation.pictures import COLOURS, draw_errors, find_images, quarter_around
from vos_lightning.evaluation.scoring import evaluate_folder

VOID_TAGS = {"meta", "img", "line", "polyline", "wbr"}


class Outline(HTMLParser):
    """Checks that tags are closed in order and collects them."""

    def __init__(self):
        super().__init__()
        self.open, self.attributes = [], []

    def handle_starttag(self, tag, attrs):
        self.attributes.append((tag, dict(attrs)))
        if tag not in VOID_TAGS:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.attributes.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        if tag not in VOID_TAGS:
            assert self.open.pop() == tag


def outline(text):
    parser = Outline()
    parser.feed(text)
    assert parser.open == []
    return parser.attributes


def texts(text):
    return [unescape(one) for one in re.findall(r">([^<>]+)<", text)]


def test_one_file_that_loads_nothing(results):
    document = html_report([evaluate_folder(*results)])
    tags = outline(document)
    for tag, attributes in tags:
        assert tag not in ("link", "iframe", "base")
        assert "href" not in attributes
        if "src" in attributes:
            assert attributes["src"].startswith("data:image/webp;base64,")
    assert "@import" not in document
    assert "url(" not in document
    assert ("meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"}) in tags


def test_the_numbers_of_the_report_are_in_it(results):
    report = evaluate_folder(*results)
    shown = texts(html_report([report]))
    for name, value in report.mean().items():
        assert shown[shown.index(name) - 1] == f"{value:.3f}", "cards show the value above its name"
    for one in report.objects:
        assert f"{one.J.mean:.3f}" in shown
    assert shown.index("boat") < shown.index("cow")


def test_curves_hold_every_frame_of_every_object(results):
    report = evaluate_folder(*results)
    charts = [json.loads(tag["data-chart"]) for _, tag in outline(html_report([report])) if "data-chart" in tag]
    sequences = sorted(report.sequences, key=lambda one: one.mean)
    assert [tuple(one["frames"]) for one in charts] == [one.frames for one in sequences]
    for data, sequence in zip(charts, sequences, strict=True):
        assert [one["name"] for one in data["series"]] == ["J of 1", "F of 1", "J of 2", "F of 2"]
        assert data["series"][0]["values"] == pytest.approx(sequence.J[:, 0].tolist(), abs=5e-4)
        assert data["series"][3]["values"] == pytest.approx(sequence.F[:, 1].tolist(), abs=5e-4)


def test_several_results_share_curves_and_pictures(results, tmp_path):
    shutil.copytree(results[1], tmp_path / "perfect")
    reports = [evaluate_folder(results[0], results[1]), evaluate_folder(tmp_path / "perfect", results[1])]
    document = html_report(reports)
    tags = outline(document)
    charts = [json.loads(tag["data-chart"]) for _, tag in tags if "data-chart" in tag]
    assert [one["name"] for one in charts[0]["series"]] == ["predictions", "perfect"]
    assert sum(tag == "img" for tag, _ in tags) == 2 * 2
    gain = reports[1].sequences[0].mean - reports[0].sequences[0].mean
    assert f'<td class="gain">+{gain:.3f}</td>' in document


def test_names_cannot_break_the_page(results):
    name = '<script>alert("1")&'
    for folder in results:
        (folder / "boat").rename(folder / name)
    document = html_report([evaluate_folder(*results)])
    outline(document)
    assert document.count("<script>") == 1
    assert name in texts(document)


def test_the_command_writes_the_report(results, tmp_path):
    evaluate_command([results[0]], results[1], html=tmp_path / "report.html")
    assert (tmp_path / "report.html").read_text(encoding="utf-8").startswith("<!doctype html>")


def test_pictures_are_drawn_on_the_images(results, tmp_path):
    for name, frames in (("boat", 7), ("cow", 9)):
        (tmp_path / "images" / name).mkdir(parents=True)
        for index in range(frames):
            Image.new("RGB", (60, 40), (10, 200, 250)).save(tmp_path / "images" / name / f"{index:05d}.png")
    document = html_report([evaluate_folder(*results)], tmp_path / "images")
    source = next(tag["src"] for name, tag in outline(document) if name == "img")
    picture = np.array(Image.open(BytesIO(base64.b64decode(source.split(",")[1]))).convert("RGB")).astype(int)
    assert np.abs(picture[-1, -1] - (10, 200, 250)).max() < 25, "lossy, but the colour of the image"


def test_images_of_another_size_are_refused(results, tmp_path):
    (tmp_path / "images" / "boat").mkdir(parents=True)
    for index in range(7):
        Image.new("RGB", (30, 20)).save(tmp_path / "images" / "boat" / f"{index:05d}.png")
    with pytest.raises(MaskError, match=r"images.boat: image 0000\d is 30x20 pixels, its annotation 60x40"):
        html_report([evaluate_folder(*results)], tmp_path / "images")


def test_errors_are_told_apart_by_colour():
    target = np.array([[0, 0, 0, 0, 0], [0, 1, 1, 1, 0], [0, 1, 1, 1, 0], [0, 1, 1, 1, 0], [0, 0, 0, 0, 0]], np.uint8)
    found = {}
    for kind, predicted in (("right", 1), ("missed", 0), ("another object", 2)):
        prediction = target.copy()
        prediction[2, 2] = predicted
        found[kind] = draw_errors(np.zeros((5, 5, 3), np.uint8), prediction, target)[2, 2]
    prediction = target.copy()
    prediction[0, 0] = 1
    drawn = draw_errors(np.zeros((5, 5, 3), np.uint8), prediction, target)
    found["extra"] = drawn[0, 0]
    for kind, colour in COLOURS.items():
        expected = np.array(list(bytes.fromhex(colour[1:]))) * 0.55
        assert np.abs(found[kind] - expected).max() <= 1
    assert (drawn[1, 1:4] == 255).all(), "the outline of the annotation"
    assert (drawn[4, 4] == 0).all()


def test_closeups_hold_the_objects():
    objects = np.zeros((100, 200), dtype=bool)
    objects[90:95, 0:40] = True
    assert quarter_around(objects) == (slice(50, 100), slice(0, 100))
    objects[90:95, 40:90] = True
    assert quarter_around(objects) == (slice(None), slice(None))
    assert quarter_around(np.zeros((4, 4), dtype=bool)) == (slice(None), slice(None))


def test_worst_frames_are_apart():
    scores = np.ones(40)
    scores[[10, 11, 12, 30]] = [0.1, 0.0, 0.2, 0.5]
    scores[20] = np.nan
    assert worst_frames(scores, 2) == [11, 30]
    assert worst_frames(np.array([0.5]), 3) == [0]
    assert worst_frames(np.array([np.nan]), 3) == []


def test_holes_part_a_curve():
    text = chart([str(i) for i in range(6)], [Series("J", np.array([1, 0.5, np.nan, 0.25, np.nan, 0]), 0)])
    assert re.findall(r'points="([^"]+)"', text) == ["0,0 1,0.5", "3,0.75 3,0.75", "5,1 5,1"]


def test_images_are_found_beside_annotations(tmp_path):
    (tmp_path / "JPEGImages" / "480p").mkdir(parents=True)
    assert find_images(tmp_path / "Annotations" / "480p") == tmp_path / "JPEGImages" / "480p"
    assert find_images(tmp_path / "Annotations" / "1080p") is None
    assert find_images(tmp_path / "elsewhere") is None
