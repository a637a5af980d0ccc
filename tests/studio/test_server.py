"""The server without a browser: who may ask, and what is answered."""

import gzip
import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("starlette", reason="needs the studio extra")
from starlette.testclient import TestClient

from tests.studio.conftest import FRAMES, HEIGHT, WIDTH, truth
from vos_lightning.errors import VOSError
from vos_lightning.io.masks import read_mask, write_mask
from vos_lightning.studio.app import create_app
from vos_lightning.studio.session import Studio
from vos_lightning.studio.tracking import TrackerSettings

TOKEN = "a-token"
ADDRESS = "http://127.0.0.1:8000"


@pytest.fixture
def studio(clip, tmp_path):
    studio = Studio(TrackerSettings("lab", "cpu"), clip.parent)
    studio.open(clip, tmp_path / "project")
    yield studio
    studio.close()


@pytest.fixture
def client(studio):
    return TestClient(create_app(studio, TOKEN), base_url=f"{ADDRESS}/{TOKEN}/")


def packed(mask: np.ndarray) -> bytes:
    # without the time, which would be part of the names of tests
    return gzip.compress(mask.astype(np.uint8).tobytes(), mtime=0)


def add_object(client, object_id: int = 1) -> None:
    one = {"id": object_id, "name": "square", "colour": "#ff0000"}
    assert client.put("objects", json={"objects": [one]}).status_code == 200


def shown_mask(client, frame: int) -> np.ndarray:
    content = gzip.decompress(client.get(f"masks/{frame}").content)
    return np.frombuffer(content, np.uint8).reshape(HEIGHT, WIDTH)


def test_nothing_without_the_token(studio):
    client = TestClient(create_app(studio, TOKEN), base_url=ADDRESS)
    for path in ("/", "/state", "/frames/0", "/static/js/main.js", "/a-toke/state", "/a-token2/state"):
        assert client.get(path).status_code == 403
    assert client.get(f"/{TOKEN}/state").status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "10.0.0.7:8000", "", "[::1", "a@b:c"])
def test_nothing_for_a_foreign_host(client, host):
    assert client.get("state", headers={"host": host}).status_code in (400, 403)


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "localhost:9999", "[::1]:8000"])
def test_a_tunnel_may_have_another_port(client, host):
    assert client.get("state", headers={"host": host}).status_code == 200


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:9999", "https://localhost"])
def test_nothing_for_a_foreign_origin(client, origin):
    assert client.get("state", headers={"origin": origin}).status_code == 403
    assert client.get("state", headers={"origin": ADDRESS}).status_code == 200


@pytest.mark.parametrize(
    "path", ["../setup.cfg", "..%2f..%2fproject.json", "%2e%2e/project.json", "....//x", "/etc/passwd"]
)
def test_no_path_leads_outside(client, path):
    for folder in ("static", "exports", "frames", "masks"):
        assert client.get(f"{folder}/{path}").status_code in (400, 403, 404, 405)


def test_answers_may_not_be_framed_sniffed_or_cached(client):
    headers = client.get("").headers
    assert "default-src 'self'" in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"


def test_large_requests_are_refused(client):
    assert client.put("given/0", content=b"0" * (65 * 2**20)).status_code == 413


def test_a_bomb_is_not_unpacked(client):
    add_object(client)
    answer = client.put("given/0", content=gzip.compress(b"\0" * 50_000_000))
    assert answer.status_code == 400
    assert "pixels" in answer.json()["error"]


@pytest.mark.parametrize(
    ("method", "path", "content"),
    [
        ("PUT", "given/99", packed(np.zeros((HEIGHT, WIDTH)))),
        ("PUT", "given/0", packed(truth(0))),  # no such object yet
        ("PUT", "given/0", b"no gzip"),
        ("PUT", "given/0", packed(np.zeros((3, 3)))),
        ("POST", "given/0/import", b"no png"),
        ("PUT", "objects", b"[]"),
        ("PUT", "objects", b"{"),
        ("PUT", "objects", b"{}"),
        ("PUT", "objects", b'{"objects": 5}'),
        ("PUT", "objects", b'{"objects": null}'),
        ("PUT", "objects", b'{"objects": {}}'),
        ("PUT", "objects", b'{"objects": [{"id": 0, "name": "x", "colour": "#ffffff"}]}'),
        ("PUT", "objects", b'{"objects": [{"id": 1, "name": "x", "colour": "red"}]}'),
        ("PUT", "objects", b'{"objects": [{"id": 1e999, "name": "x", "colour": "#ffffff"}]}'),
        ("PUT", "objects", b'{"objects": [{"id": 1, "name": "x", "colour": "#ffffff", "last": 1e999}]}'),
        ("POST", "outline/0", b'{"box": [0, 0, 1]}'),
        ("POST", "outline/0", b'{"box": [5, 5, 6, 6]}'),
        ("POST", "outline/0", b'{"box": [1e999, 0, 50, 50]}'),
        ("POST", "outline/0", b'{"box": [0, 0, 50, 50], "strokes": [{"points": [], "radius": 1, "inside": true}]}'),
        ("POST", "tracking", b'{"do": "start", "mode": "sideways"}'),
        ("POST", "tracking", b'{"do": "start", "mode": "all"}'),  # nothing given
        ("POST", "tracking", b'{"do": "go on"}'),
        ("POST", "tracking", b"{}"),
        ("POST", "tracking", b'{"do": "start", "mode": "all", "frame": "next"}'),
        ("POST", "tracking", b'{"do": "start", "mode": "all", "frame": 1e999}'),
        ("POST", "tracking", b'{"do": "start", "mode": "all", "frame": 99}'),
        ("POST", "exports", b'{"form": "../x"}'),
        ("POST", "open", b'{"name": "../../etc"}'),
    ],
)
def test_mistakes_are_told_in_one_line(client, method, path, content):
    answer = client.request(method, path, content=content)
    assert answer.status_code == 400
    assert answer.json()["error"]
    assert "\n" not in answer.json()["error"]


@pytest.mark.parametrize("depth", [700, 900, 100_000])  # some are read, but too deep to be quoted
@pytest.mark.parametrize(
    ("method", "path", "key"),
    [
        ("PUT", "objects", "objects"),
        ("POST", "outline/0", "box"),
        ("POST", "tracking", "do"),
        ("POST", "exports", "form"),
        ("POST", "open", "name"),
    ],
)
def test_deep_nesting_is_a_mistake(client, method, path, key, depth):
    content = f'{{"{key}": {"[" * depth}{"]" * depth}}}'
    answer = client.request(method, path, content=content)
    assert answer.status_code == 400
    assert answer.json()["error"]


def test_a_given_mask_is_on_disk_at_once(client, studio):
    add_object(client)
    assert client.put("given/3", content=packed(truth(3))).json()["statuses"] == "---g" + "-" * (FRAMES - 4)
    folder = studio.session.project.folder
    assert (read_mask(folder / "given" / "00003.png") == truth(3)).all()
    assert json.loads((folder / "project.json").read_text())["objects"][0]["name"] == "square"
    assert (shown_mask(client, 3) == truth(3)).all()
    assert client.delete("given/3").json()["statuses"] == "-" * FRAMES
    assert not shown_mask(client, 3).any()


def test_import_brings_objects_and_leaves_void_out(client, tmp_path):
    mask = 7 * truth(0)
    mask[:5] = 255
    write_mask(tmp_path / "mask.png", mask)
    assert client.post("given/0/import", content=(tmp_path / "mask.png").read_bytes()).status_code == 200
    assert [one["id"] for one in client.get("state").json()["objects"]] == [7]
    assert (shown_mask(client, 0) == 7 * truth(0)).all()


def test_import_takes_colours_and_labels_for_the_objects_of_the_project(client, tmp_path):
    colours = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    colours[truth(0) > 0] = 10, 200, 30
    Image.fromarray(colours).save(tmp_path / "mask.bmp")
    for frame in (0, 3):
        assert client.post(f"given/{frame}/import", content=(tmp_path / "mask.bmp").read_bytes()).status_code == 200
    shapes = [{"label": "cat", "points": [[0, 0], [4, 4]], "shape_type": "rectangle"}]
    file = json.dumps({"shapes": shapes, "imageHeight": HEIGHT, "imageWidth": WIDTH})
    for frame in (4, 5):
        assert client.post(f"given/{frame}/import", content=file.encode()).status_code == 200
    objects = client.get("state").json()["objects"]
    assert [(one["id"], one["name"]) for one in objects] == [(1, "object 1"), (2, "cat")]
    assert objects[0]["colour"] == "#0ac81e"
    assert (shown_mask(client, 3) == (truth(0) > 0)).all()
    assert shown_mask(client, 5)[:4, :4].tolist() == [[2] * 4] * 4


def test_import_of_another_size_changes_nothing(client, tmp_path):
    write_mask(tmp_path / "mask.png", np.ones((5, 5), np.uint8))
    answer = client.post("given/0/import", content=(tmp_path / "mask.png").read_bytes())
    assert answer.status_code == 400
    assert "5×5" in answer.json()["error"]
    assert client.get("state").json()["objects"] == []


def test_import_of_an_empty_mask_is_refused(client, tmp_path):
    write_mask(tmp_path / "mask.png", np.zeros((HEIGHT, WIDTH), np.uint8))
    answer = client.post("given/0/import", content=(tmp_path / "mask.png").read_bytes())
    assert answer.status_code == 400
    assert "no object" in answer.json()["error"]
    assert client.get("state").json()["statuses"] == "-" * FRAMES


def test_pictures_are_jpegs_of_the_frames(client):
    for path in ("frames/11", "thumbnails/4"):
        answer = client.get(path)
        assert answer.headers["content-type"] == "image/jpeg"
        assert answer.content[:2] == b"\xff\xd8"
    assert client.get("frames/12").status_code == 400


def test_a_video_can_be_chosen(clip):
    studio = Studio(TrackerSettings("lab"), clip.parent)
    client = TestClient(create_app(studio, TOKEN), base_url=f"{ADDRESS}/{TOKEN}/")
    assert client.get("state").json() == {"video": None, "choices": ["square"]}
    assert client.get("frames/0").status_code == 400
    try:
        assert client.post("open", json={"name": "square"}).status_code == 200
        assert client.get("state").json()["video"]["frames"] == FRAMES
    finally:
        studio.close()


def test_names_need_not_be_unicode(clip, tmp_path):
    name = b"caf\xe9 <b>\n.frames".decode(errors="surrogateescape")
    shutil.copytree(clip, tmp_path / name)
    studio = Studio(TrackerSettings("lab"), tmp_path)
    client = TestClient(create_app(studio, TOKEN), base_url=f"{ADDRESS}/{TOKEN}/")
    assert client.get("state").json()["choices"] == [name]
    try:
        assert client.post("open", content=json.dumps({"name": name})).status_code == 200
        one = {"id": 1, "name": "\ud800", "colour": "#ff0000"}
        assert client.put("objects", content=json.dumps({"objects": [one]})).status_code == 200
        state = client.get("state").json()
        assert (state["video"]["name"], state["objects"][0]["name"]) == (name, "\ud800")
    finally:
        studio.close()


def test_the_page_lives_on_without_another_object(client):
    add_object(client, 254)
    assert client.get("state").json()["suggestion"] is None


def test_a_project_of_another_video_is_refused(studio, clip, tmp_path):
    short = tmp_path / "short"
    short.mkdir()
    (short / "0.png").write_bytes((clip / "00000.png").read_bytes())
    with pytest.raises(VOSError, match="another video"):
        studio.open(short, studio.session.project.folder)


def test_a_folder_is_open_once(studio, clip, tmp_path):
    open_elsewhere = [sys.executable, "-m", "vos_lightning", "studio", clip, "--project", tmp_path / "project"]
    answer = subprocess.run([*open_elsewhere, "--no-browser"], capture_output=True, text=True, timeout=1800)
    assert answer.returncode != 0
    assert f"process {os.getpid()}" in answer.stderr
    assert len(answer.stderr.splitlines()) == 1
    session = studio.session
    studio.open(clip, tmp_path / "project")  # again, from a page
    assert studio.session is session


def test_a_closed_folder_can_be_opened_again(clip, tmp_path):
    for _ in range(2):
        studio = Studio(TrackerSettings("lab", "cpu"), clip.parent)
        studio.open(clip, tmp_path / "project")
        with pytest.raises(VOSError, match="this process"):
            Studio(TrackerSettings("lab", "cpu"), clip.parent).open(clip, tmp_path / "project")
        studio.close()
