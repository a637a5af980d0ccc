"""The page in a real browser: point, follow, mend, take away; kill, reopen; two tabs."""

import gzip
import zipfile
from urllib.request import Request, urlopen

import numpy as np
import pytest

from tests.studio.conftest import FRAMES, HEIGHT, WIDTH, overlap, square_at, truth
from vos_lightning.io.masks import read_mask

pytest.importorskip("starlette", reason="needs the studio extra")
pytestmark = pytest.mark.browser


def box_around(frame: int, room: int = 3) -> tuple[tuple[int, int], tuple[int, int]]:
    left, top, right, bottom = square_at(frame)
    return (left - room, top - room), (right + room, bottom + room)


def test_from_a_box_to_masks_that_are_scored(serve, look, tmp_path):
    from vos_lightning.evaluation.scoring import evaluate_folder
    from vos_lightning.io.masks import write_mask

    server = serve()
    tab = look(server.address)
    tab.drag(*box_around(0))
    tab.until("studio.state.statuses[0] === 'g'")
    tab.saved()
    assert overlap(tab.ids() > 0, truth(0) > 0) > 0.9
    assert tab.page.is_visible("#next-step")
    tab.page.click("[data-track=all]")
    tab.until("/^gt+$/.test(studio.state.statuses)")
    assert not tab.page.is_visible("#next-step")
    tab.page.click("#open-exports")
    with tab.page.expect_download() as download:
        tab.page.click("[data-form=masks]")
    with zipfile.ZipFile(download.value.path()) as archive:
        archive.extractall(tmp_path / "masks")
    (tmp_path / "truth" / "square").mkdir(parents=True)
    for frame in range(FRAMES):
        write_mask(tmp_path / "truth" / "square" / f"{frame:05d}.png", truth(frame))
    scores = evaluate_folder(tmp_path / "masks", tmp_path / "truth", "davis2017").to_dict()["mean"]
    assert scores["J-Mean"] > 0.9
    assert tab.foreign == []
    assert tab.errors == []


def test_painting_is_kept_at_once_and_undone(serve, look):
    server = serve()
    tab = look(server.address)
    tab.tool("brush")
    tab.drag((30, 30), (60, 30))
    tab.saved()
    kept = server.project / "given" / "00000.png"
    painted = tab.ids()
    assert painted[30, 30] == painted[30, 60] == 1
    assert (read_mask(kept) == painted).all()
    tab.tool("eraser")
    tab.drag((60, 30), (60, 30.5))
    tab.saved()
    assert tab.ids()[30, 60] == 0
    tab.page.keyboard.press("Control+z")
    tab.until("studio.mask.at(60, 30) === 1")
    tab.page.keyboard.press("Control+z")
    tab.until("studio.state.statuses[0] === '-'")
    tab.saved()
    assert not kept.exists()
    tab.page.keyboard.press("Control+Shift+z")
    tab.until("studio.mask.at(60, 30) === 1")
    tab.saved()
    assert (read_mask(kept) == painted).all()


def test_painting_answers_without_the_server(serve, look):
    tab = look(serve().address)
    tab.tool("brush")
    tab.page.click("#add-object")
    tab.saved()
    tab.page.route("**/given/**", lambda route: None)  # the server never answers
    tab.drag((30, 30), (50, 30))
    assert tab.evaluate("studio.mask.at(40, 30)") == 1


def test_the_page_says_that_an_outline_is_being_found(serve, look):
    tab = look(serve().address)
    tab.page.route("**/outline/**", lambda route: None)  # the server never answers
    tab.drag(*box_around(0))
    tab.until("document.getElementById('hint').textContent === 'Finding the outline…'")


def test_what_is_not_saved_is_not_called_saved(serve, look):
    server = serve()
    tab = look(server.address)
    given = server.project / "given"
    given.rename(server.project / "elsewhere")
    tab.tool("brush")
    tab.drag((30, 30), (60, 30))
    tab.until("studio.state.saved === 'not saved'")
    assert "cannot be written" in tab.evaluate("document.getElementById('toast').textContent")
    assert tab.ids()[30, 40] == 1
    (server.project / "elsewhere").rename(given)
    tab.drag((30, 40), (60, 40))
    tab.until("studio.state.saved === 'saved'")
    assert (read_mask(given / "00000.png") == tab.ids()).all()


def test_strokes_and_polygon(serve, look):
    tab = look(serve().address)
    tab.drag(*box_around(0, 12))
    tab.until("studio.state.statuses[0] === 'g'")
    tab.tool("not")
    left, top, right, _ = square_at(0)
    tab.drag((left + 2, top + 2), (right - 2, top + 2))
    tab.until(f"studio.mask.at({left + 8}, {top + 2}) === 0")
    tab.page.click("#add-object")
    tab.tool("polygon")
    for corner in ((70, 10), (100, 10), (100, 20)):
        tab.page.mouse.click(*tab.point(*corner))
    tab.page.keyboard.press("Enter")
    tab.until("studio.mask.at(95, 12) === 2")
    assert tab.evaluate("studio.state.objects.length") == 2


def test_killed_while_tracking_and_reopened(serve, look):
    server = serve()
    tab = look(server.address)
    tab.drag(*box_around(0))
    tab.until("studio.state.statuses[0] === 'g'")
    tab.saved()
    tab.page.click("[data-track=forward]")
    tab.until("(studio.state.statuses.match(/t/g) ?? []).length >= 3")
    server.kill()
    again = look(serve().address)
    assert again.evaluate("studio.state.statuses").startswith("gttt")
    assert again.evaluate("studio.state.objects.length") == 1
    if again.evaluate("studio.state.progress.phase") == "interrupted":  # else it was done already
        again.page.click("[data-do='go on']")
    again.until("/^gt+$/.test(studio.state.statuses)")
    masks = sorted((server.project / "masks").glob("*.png"))
    assert [read_mask(path).shape for path in masks] == [(HEIGHT, WIDTH)] * (FRAMES - 1)


def test_two_tabs_show_the_same(serve, look):
    server = serve()
    one, two = look(server.address), look(server.address, 390, 844)
    one.tool("brush")
    one.drag((30, 30), (50, 40))
    one.saved()
    two.until("studio.state.statuses[0] === 'g'")
    two.until("studio.mask.at(40, 35) === 1")
    assert (one.ids() == two.ids()).all()
    two.page.click("[data-track=forward]")
    one.until("/^gt+$/.test(studio.state.statuses)")
    two.until(f"studio.state.frame === {FRAMES - 1}")  # who asked for it watches it
    assert one.evaluate("studio.state.frame") == 0
    assert not two.evaluate("studio.state.watching")  # it is done
    assert two.evaluate("document.documentElement.scrollWidth") <= 390


def test_what_happens_while_a_page_loads_is_not_missed(serve, look):
    tab = look(serve().address)
    tab.tool("brush")
    tab.drag((30, 30), (50, 40))
    tab.saved()

    def answer_late(route):
        answer = route.fetch()
        content = gzip.compress(truth(3).tobytes())
        urlopen(Request(route.request.url.replace("state", "given/3"), content, method="PUT")).close()
        tab.page.wait_for_timeout(300)  # until the event is there
        route.fulfill(response=answer)

    tab.page.route("**/state", answer_late)
    tab.page.reload()
    tab.until("document.body.dataset.ready === 'yes'")
    assert tab.evaluate("studio.state.statuses").startswith("g--g")


def test_what_is_painted_stays_on_its_frame(serve, look):
    server = serve()
    one, two = look(server.address), look(server.address)
    given = server.project / "given"
    one.tool("brush")
    one.drag((30, 30), (50, 40))
    one.saved()

    mouse = one.page.mouse  # while another frame is being loaded
    one.page.route("**/frames/11", lambda route: (one.page.wait_for_timeout(300), route.continue_()))
    one.page.keyboard.press("End")
    mouse.move(*one.point(70, 20))
    mouse.down()
    mouse.move(*one.point(80, 20), steps=3)
    one.page.wait_for_timeout(600)
    assert one.evaluate("studio.state.frame") == 0
    mouse.up()
    one.saved()
    assert [path.name for path in given.iterdir()] == ["00000.png"]
    assert {read_mask(given / "00000.png")[y, x] for x, y in ((40, 35), (70, 20), (80, 20))} == {1}

    one.page.keyboard.press("Home")  # while the tracker reaches the frame
    for _ in range(3):
        one.page.keyboard.press("ArrowRight")
    one.until("studio.state.frame === 3")
    mouse.move(*one.point(10, 60))
    mouse.down()
    mouse.move(*one.point(30, 60), steps=5)
    two.page.click("[data-track=forward]")
    one.until("studio.state.statuses[4] === 't'")
    mouse.move(*one.point(50, 60), steps=5)
    mouse.up()
    one.saved()
    assert (read_mask(given / "00003.png")[60, 10:50] == 1).all()


def test_mending_a_frame_keeps_it_as_given(serve, look):
    server = serve()
    tab = look(server.address)
    tab.drag(*box_around(0))
    tab.until("studio.state.statuses[0] === 'g'")
    tab.saved()
    tab.page.click("[data-track=all]")
    tab.until("/^gt+$/.test(studio.state.statuses)")
    tab.page.keyboard.press("Home")
    for _ in range(6):
        tab.page.keyboard.press("ArrowRight")
    tab.until("studio.state.frame === 6")
    tab.tool("brush")
    tab.drag((90, 60), (95, 60))
    tab.saved()
    mended = tab.ids()
    assert tab.evaluate("studio.state.statuses") == "g" + "o" * 5 + "g" + "o" * 5
    tab.page.keyboard.press("t")
    tab.until("/^gt+gt+$/.test(studio.state.statuses)")
    assert (read_mask(server.project / "given" / "00006.png") == mended).all()
    tab.until("studio.state.progress.phase === 'idle'")
    tab.page.keyboard.press("Home")
    for _ in range(6):
        tab.page.keyboard.press("ArrowRight")
    tab.until("studio.state.frame === 6")
    assert np.array_equal(tab.ids(), mended)


def test_objects_are_removed_and_come_back(serve, look):
    tab = look(serve().address)
    tab.tool("brush")
    tab.drag((30, 30), (50, 30))
    tab.page.click("#add-object")
    tab.drag((30, 60), (50, 60))
    tab.saved()
    tab.page.click("#objects li:first-child button[aria-label='Remove object 1']")  # not the selected one
    tab.until("studio.state.objects.length === 1 && studio.mask.at(40, 30) === 0")
    tab.saved()
    assert tab.evaluate("studio.mask.at(40, 60)") == 2
    tab.page.keyboard.press("Control+z")
    tab.until("studio.state.objects.length === 2 && studio.mask.at(40, 30) === 1")
