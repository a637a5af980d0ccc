import gc
import threading
import time

import pytest

from vos_lightning.io.prefetch import BackgroundReader


def _threads():
    return [thread for thread in threading.enumerate() if thread.name == "BackgroundReader"]


@pytest.fixture(autouse=True)
def _no_thread_is_left():
    yield
    gc.collect()
    assert _threads() == []


@pytest.mark.parametrize("depth", [1, 2, 50])
@pytest.mark.parametrize("count", [0, 1, 7, 100])
def test_same_items_in_order(depth, count):
    reader = BackgroundReader(range(count), depth)
    assert list(reader) == list(range(count))
    assert list(reader) == list(range(count))


def test_none_is_an_item_too():
    assert list(BackgroundReader([None, 0, False], 1)) == [None, 0, False]


def test_it_reads_ahead_but_not_too_far():
    read = []

    def source():
        for index in range(100):
            read.append(index)
            yield index

    items = iter(BackgroundReader(source(), depth=3))
    assert read == []
    assert next(items) == 0
    while len(read) < 3:
        time.sleep(0.01)
    time.sleep(0.1)
    assert 3 <= len(read) <= 5
    items.close()


def test_error_comes_in_its_place():
    def source():
        yield 1
        yield 2
        raise OSError("frame 3 is broken")

    seen = []
    with pytest.raises(OSError, match="frame 3 is broken"):
        seen.extend(BackgroundReader(source(), depth=8))
    items = iter(BackgroundReader(source(), depth=8))
    assert [next(items), next(items)] == [1, 2]
    with pytest.raises(OSError, match="frame 3"):
        next(items)


def test_error_before_the_first_item():
    with pytest.raises(TypeError):
        list(BackgroundReader(5, 1))


@pytest.mark.parametrize("depth", [1, 3])
@pytest.mark.parametrize("taken", [1, 5])
def test_left_early(depth, taken):
    closed = threading.Event()

    def endless():
        try:
            while True:
                yield 0
        finally:
            closed.set()

    for count, _ in enumerate(BackgroundReader(endless(), depth), start=1):
        if count == taken:
            break
    gc.collect()
    assert closed.wait(2)
    assert _threads() == []


def test_dropped_iterator():
    items = iter(BackgroundReader(iter(int, 1), 2))
    next(items)
    assert len(_threads()) == 1
    del items
    gc.collect()
    assert _threads() == []


def test_never_started():
    iter(BackgroundReader(iter(int, 1), 2))
    assert _threads() == []


def test_an_error_in_the_loop_stops_the_thread():
    def fail():
        for _ in BackgroundReader(iter(int, 1), 2):
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    gc.collect()
    assert _threads() == []


def test_many_early_exits_never_hang():
    for count in range(300):
        for index in BackgroundReader(range(20), 1 + count % 3):
            if index == count % 20:
                break


def test_depth_must_be_positive():
    with pytest.raises(ValueError, match="at least 1"):
        BackgroundReader([], 0)
