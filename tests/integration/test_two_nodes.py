"""Two machines with copies of the data of their own, as two processes on one: do they notice what differs?"""

import shutil
import socket
import time

import pytest
import yaml
from PIL import Image

MODEL = {
    "class_path": "vos_lightning.MAST",
    "init_args": {"width": 0.125, "feature_dim": 16, "radius": 2, "tracking": {"radius": 3}},
}
DATA = {"num_workers": 0, "batch_size": 2, "short_side": 32, "crop_size": 32, "max_gap": 1}
QUICK = 60


@pytest.fixture
def nodes(tmp_path, start):
    """Run `fit` on two nodes; gives exit codes and outputs. None may go on for longer than a minute."""

    def run(kind="VideoFolderDataModule", options=({}, {})):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        processes = []
        for rank, own in enumerate(options):
            folder = tmp_path / f"node{rank}"
            own = DATA | {"root": str(folder / "data")} | own
            data = {"class_path": f"vos_lightning.data.{kind}", "init_args": own}
            trainer = {"accelerator": "cpu", "strategy": "ddp", "devices": 1, "num_nodes": 2, "max_epochs": 1}
            quiet = {"enable_progress_bar": False, "enable_model_summary": False, "logger": False}
            config = {"model": MODEL, "data": data, "trainer": trainer | quiet | {"default_root_dir": str(tmp_path)}}
            (folder / "config.yaml").write_text(yaml.safe_dump(config))
            place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "NODE_RANK": rank, "LOCAL_RANK": 0}
            cache = {"XDG_CACHE_HOME": folder / "cache"}
            arguments = ["fit", "--config", folder / "config.yaml"]
            processes.append(start(arguments, folder / "output.txt", place | cache))
        deadline = time.monotonic() + QUICK
        for process in processes:
            process.join(max(0, deadline - time.monotonic()))
        late = [process for process in processes if process.is_alive()]
        for process in late:
            process.kill()
        outputs = [(tmp_path / f"node{rank}" / "output.txt").read_text() for rank in (0, 1)]
        assert not late, outputs
        return [process.exitcode for process in processes], outputs

    for rank in (0, 1):
        (tmp_path / f"node{rank}" / "data").mkdir(parents=True)
    for video in range(4):
        for frame in range(3):
            path = tmp_path / "node0" / "data" / f"v{video}" / f"{frame}.png"
            path.parent.mkdir(exist_ok=True)
            Image.effect_noise((40, 40), 90).convert("RGB").save(path)
    shutil.copytree(tmp_path / "node0" / "data", tmp_path / "node1" / "data", dirs_exist_ok=True)
    return run


def told(ended, *texts):
    """The first rank says it in one line, no rank shows a traceback."""
    codes, outputs = ended
    assert codes[0] == 2, outputs
    assert all("Traceback" not in output for output in outputs), outputs
    (line,) = [line for line in outputs[0].splitlines() if line.startswith("vos-lightning: error: ")]
    assert all(text in line for text in texts), line


def test_equal_copies_train(nodes, tmp_path):
    codes, outputs = nodes()
    assert codes == [0, 0], outputs
    assert (tmp_path / "last.ckpt").exists() or list(tmp_path.rglob("last.ckpt"))


def test_a_missing_video_is_named(nodes, tmp_path):
    shutil.rmtree(tmp_path / "node1" / "data" / "v2")
    told(nodes(), "see different data", f"rank 1 on {socket.gethostname()} lacks v2 of the 4 training videos")


def test_another_version_of_a_video_is_named(nodes, tmp_path):
    Image.effect_noise((40, 50), 90).convert("RGB").save(tmp_path / "node1" / "data" / "v1" / "0.png")
    told(nodes(), "has v1 with 3 frames, ", " bytes instead of 3 frames, ")


def test_other_options_are_named(nodes):
    told(nodes(options=({}, {"batch_size": 1})), "has batch_size with 1 instead of 2")


def test_the_fault_of_one_node_is_that_of_all(nodes, tmp_path):
    shutil.rmtree(tmp_path / "node1" / "data")
    told(nodes(), f"rank 1 on {socket.gethostname()}: {tmp_path / 'node1' / 'data'}: no such folder")


def test_pictures_that_differ_are_named(nodes, tmp_path):
    (tmp_path / "node0" / "data" / "v3" / "1.png").rename(tmp_path / "node0" / "data" / "v3" / "9.png")
    told(nodes("ImageFolderDataModule"), "lacks v3/9 of the 12 training videos", "has v3/1 besides")
