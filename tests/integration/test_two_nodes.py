"""Two machines, as two processes with run folders, caches and copies of the data of their own: what holds for them.

`SECURITY.md` has the table of it.
"""

import os
import shutil
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from PIL import Image

MODEL = {
    "class_path": "vos_lightning.MAST",
    "init_args": {"width": 0.125, "feature_dim": 16, "radius": 2, "tracking": {"radius": 3}},
}
DATA = {"num_workers": 0, "batch_size": 2, "short_side": 32, "crop_size": 32, "max_gap": 1}
# seconds, from the start or from the kill: less than torch's half hour, and enough for a slow machine
QUICK = 1200
ENDLESS = {"max_epochs": -1, "max_steps": 10**6}


class Nodes:
    """Two nodes below a folder, `node0` and `node1`, with `data`, `run` and `cache` each."""

    def __init__(self, root, start):
        self.root, self.start, self.processes = root, start, []
        for video in range(4):
            for frame in range(3):
                path = self.data(0) / f"v{video}" / f"{frame}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.effect_noise((40, 40), 90).convert("RGB").save(path)
        shutil.copytree(self.data(0), self.data(1))

    def data(self, rank):
        return self.root / f"node{rank}" / "data"

    def checkpoint(self):
        return next((self.root / "node0" / "run").rglob("last.ckpt"), None)

    def begin(self, kind="VideoFolderDataModule", options=({}, {}), more=(), **trainer):
        """Start a fit on both nodes."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.processes = []
        for rank, own in enumerate(options):
            folder = self.root / f"node{rank}"
            data = {
                "class_path": f"vos_lightning.data.{kind}",
                "init_args": DATA | {"root": str(self.data(rank))} | own,
            }
            place = {"accelerator": "cpu", "strategy": "ddp", "devices": 1, "num_nodes": 2, "max_epochs": 1}
            quiet = {"enable_progress_bar": False, "enable_model_summary": False, "logger": False}
            place |= quiet | {"default_root_dir": str(folder / "run")} | trainer
            last = {"every_n_steps": 2}
            config = {"model": MODEL, "data": data, "trainer": place, "last_checkpoint": last}
            (folder / "config.yaml").write_text(yaml.safe_dump(config))
            (folder / "output.txt").unlink(missing_ok=True)
            ranks = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "NODE_RANK": rank, "LOCAL_RANK": 0}
            environment = ranks | {"XDG_CACHE_HOME": folder / "cache"}
            arguments = ["fit", "--config", folder / "config.yaml", *more]
            self.processes.append(self.start(arguments, folder / "output.txt", environment))

    def end(self):
        """Exit codes and outputs, once both have ended; none may wait for the other until torch gives up."""
        deadline = time.monotonic() + QUICK
        for process in self.processes:
            process.join(max(0, deadline - time.monotonic()))
        late = [process for process in self.processes if process.is_alive()]
        for process in late:
            process.kill()
        outputs = [(self.root / f"node{rank}" / "output.txt").read_text() for rank in (0, 1)]
        assert not late, outputs
        return [process.exitcode for process in self.processes], outputs


@pytest.fixture
def nodes(tmp_path, start):
    made = Nodes(tmp_path, start)
    yield made
    for process in made.processes:
        if process.is_alive():
            process.kill()


def told(ended, *texts):
    """The first rank says it in one line, no rank shows a traceback."""
    codes, outputs = ended
    assert codes[0] == 2, outputs
    said(outputs, 0, *texts)


def said(outputs, rank, *texts):
    assert all("Traceback" not in output for output in outputs), outputs
    (line,) = [line for line in outputs[rank].splitlines() if line.startswith("vos-lightning: error: ")]
    assert all(text in line for text in texts), line


# --- what the nodes see


def equal(nodes):
    pass


def other_order(nodes):
    """The same files, listed by the file system in another order."""
    shutil.rmtree(nodes.data(1))
    for path in sorted(nodes.data(0).rglob("*.png"), reverse=True):
        copy = nodes.data(1) / path.relative_to(nodes.data(0))
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)


def missing_file(nodes):
    shutil.rmtree(nodes.data(1) / "v2")


# --- who is killed


def rank_killed(rank):
    def kill(nodes):
        os.kill(nodes.processes[rank].pid, signal.SIGKILL)

    return kill


def loader_killed(nodes):
    pid = nodes.processes[1].pid
    os.kill(int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[-1]), signal.SIGKILL)


@dataclass
class Row:
    """A fault, and the exit codes and words that it ends in."""

    name: str
    spoil: Callable[[Nodes], None] = equal
    options: tuple[dict, dict] = ({}, {})
    kill: Callable[[Nodes], None] | None = None
    codes: tuple[int, int] = (0, 0)
    words: tuple[str, str] = ("", "")  # of the error of each rank; none of one that says nothing


LOST, FILES = "another process of the run has ended", "see different data"
ROWS = [
    Row("equal"),
    Row("other order", other_order),
    Row("missing file", missing_file, codes=(2, 0), words=(f"{FILES}. rank 1 on {socket.gethostname()} lacks v2", "")),
    Row("other config", options=({}, {"batch_size": 1}), codes=(2, 0), words=("batch_size with 1 instead of 2", "")),
    Row("first rank killed", kill=rank_killed(0), codes=(-9, 1), words=("", LOST)),
    Row("second rank killed", kill=rank_killed(1), codes=(1, -9), words=(LOST, "")),
    Row("loader killed", options=({}, {"num_workers": 1}), kill=loader_killed, codes=(1, 1), words=(LOST, "loader")),
]


@pytest.mark.parametrize(
    "row", [pytest.param(row, id=row.name, marks=[pytest.mark.slow] * (row.kill is not None)) for row in ROWS]
)
def test_it_ends_says_why_and_goes_on(nodes, row):
    row.spoil(nodes)
    nodes.begin(options=row.options, **({} if row.kill is None else ENDLESS))
    if row.kill is not None:
        while nodes.checkpoint() is None and all(process.is_alive() for process in nodes.processes):
            time.sleep(0.05)
        row.kill(nodes)
    codes, outputs = nodes.end()
    assert tuple(codes) == row.codes, outputs
    for rank, words in enumerate(row.words):
        if words:
            said(outputs, rank, words)
        else:
            assert "error: " not in outputs[rank]

    # mended, with the run folder that both nodes would share
    shutil.rmtree(nodes.data(1))
    shutil.copytree(nodes.data(0), nodes.data(1))
    before, checkpoint = 0, nodes.checkpoint()
    if checkpoint is not None:
        before = _step(checkpoint)
        shutil.copytree(nodes.root / "node0" / "run", nodes.root / "node1" / "run", dirs_exist_ok=True)
    nodes.begin(more=["--ckpt_path=last"], max_epochs=-1, max_steps=before + 3)
    codes, outputs = nodes.end()
    assert codes == [0, 0], outputs
    assert _step(nodes.checkpoint()) == before + 3


def _step(checkpoint):
    import torch

    return torch.load(checkpoint, weights_only=True)["global_step"]


@pytest.mark.slow
@pytest.mark.parametrize("lost", [0, 1])
def test_a_rank_that_dies_while_it_reads_its_files_is_told_by_the_other(nodes, lost):
    """In Lightning's own wait for `prepare_data`, before the ranks have compared anything."""
    pipe = nodes.data(lost).parent / "skip.txt"
    os.mkfifo(pipe)  # reading it takes for ever
    options = [{}, {}]
    options[lost] = {"skip_list": str(pipe)}
    nodes.begin(options=options)
    with pipe.open("w"):  # opens once it is read
        time.sleep(5)
        rank_killed(lost)(nodes)
        codes, outputs = nodes.end()
    assert codes[lost] == -9, outputs
    assert codes[1 - lost] == 1, outputs
    said(outputs, 1 - lost, LOST)


def test_another_version_of_a_video_is_named(nodes):
    Image.effect_noise((40, 50), 90).convert("RGB").save(nodes.data(1) / "v1" / "0.png")
    nodes.begin()
    told(nodes.end(), "has v1 with 3 frames, ", " bytes instead of 3 frames, ")


def test_the_fault_of_one_node_is_that_of_all(nodes):
    shutil.rmtree(nodes.data(1))
    nodes.begin()
    told(nodes.end(), f"rank 1 on {socket.gethostname()}: {nodes.data(1)}: no such folder")


def test_pictures_that_differ_are_named(nodes):
    (nodes.data(0) / "v3" / "1.png").rename(nodes.data(0) / "v3" / "9.png")
    nodes.begin("ImageFolderDataModule")
    told(nodes.end(), "lacks v3/9 of the 12 training videos", "has v3/1 besides")
