"""Files with random damage: read, or refused in one line that names them; never a crash, a hang or a traceback."""

import io
import json
import pickle
import tarfile

import av
import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from tests.hostile.fuzzing import read_all
from tests.hostile.mutations import CONFIGS, config_mutations, mutations
from vos_lightning.inference.weights import save_tracker
from vos_lightning.io.masks import write_mask
from vos_lightning.tasks.mast import MAST

COUNT = 200
CODECS = {
    ".mp4": "libx264", ".mkv": "libx264", ".ts": "libx264", ".avi": "mpeg4", ".mov": "mjpeg",
    ".webm": "libvpx", ".mpg": "mpeg2video", ".flv": "flv",
}  # fmt: skip


def check(outcome, count=COUNT):
    """All files are accounted for, some could be told from whole ones, and nothing worse happened."""
    assert outcome.faults == []
    assert sum(outcome.counts.values()) == count
    assert outcome.counts["refused"] > 0


def blocks():
    """A picture with edges, (96, 128, 3)."""
    return np.random.default_rng(0).integers(0, 255, (12, 16, 3), dtype=np.uint8).repeat(8, 0).repeat(8, 1)


def video(path):
    codec = CODECS[path.suffix]
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.height, stream.width = 96, 128
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        for index in range(20):
            picture = av.VideoFrame.from_ndarray(np.roll(blocks(), (index, 3 * index), (0, 1)), format="rgb24")
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    return path.read_bytes()


def image(suffix):
    with io.BytesIO() as file:
        Image.fromarray(blocks()).save(file, format={"jpg": "JPEG"}.get(suffix, suffix))
        return file.getvalue()


def mask(path, grey):
    ids = np.zeros((96, 128), np.uint8)
    ids[10:40, 20:60], ids[50:60, 70:90] = 3, 1
    Image.fromarray(ids).save(path) if grey else write_mask(path, ids)
    return path.read_bytes()


def meta():
    objects = {str(key): {"category": "cat", "frames": ["00000", "00005"]} for key in (1, 2)}
    return json.dumps({"videos": {f"video{index}": {"objects": objects} for index in range(3)}}).encode()


def weights(path):
    torch.manual_seed(0)
    model = MAST(width=0.0625, feature_dim=8)
    if path.suffix == ".safetensors":
        state = {key: value for key, value in model.state_dict().items() if key.startswith("encoder.")}
        save_tracker(path, state, dict(model.hparams))
    else:
        torch.save({"state_dict": model.state_dict(), "hyper_parameters": dict(model.hparams)}, path)
    return path.read_bytes()


def test_damaged_videos_quickly(tmp_path):
    check(read_all("tests.hostile.readers:play", tmp_path, ".mp4", mutations(video(tmp_path / "whole.mp4"), 40)), 40)


@pytest.mark.slow
@pytest.mark.parametrize("suffix", CODECS)
def test_damaged_videos(tmp_path, suffix):
    content = video(tmp_path / f"whole{suffix}")
    check(read_all("tests.hostile.readers:play", tmp_path, suffix, mutations(content, COUNT, 1)))


@pytest.mark.slow
def test_damaged_real_videos(tmp_path, shared_data):
    clips = sorted((shared_data / "clips").glob("*.mp4"), key=lambda path: path.stat().st_size)[:4]
    damaged = [copy for index, clip in enumerate(clips) for copy in mutations(clip.read_bytes(), COUNT // 4, index)]
    check(read_all("tests.hostile.readers:play", tmp_path, ".mp4", damaged))


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["jpg", "png", "bmp", "webp"])
def test_damaged_images(tmp_path, suffix):
    check(read_all("tests.hostile.readers:look", tmp_path, f".{suffix}", mutations(image(suffix), COUNT)))


@pytest.mark.slow
@pytest.mark.parametrize("grey", [False, True])
def test_damaged_masks(tmp_path, grey):
    content = mask(tmp_path / "whole.png", grey)
    check(read_all("tests.hostile.readers:read_ids", tmp_path, ".png", mutations(content, COUNT)))


@pytest.mark.slow
def test_damaged_metadata(tmp_path):
    check(read_all("tests.hostile.readers:read_lists", tmp_path, ".json", mutations(meta(), 2 * COUNT)), 2 * COUNT)


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".safetensors", ".ckpt"])
def test_damaged_weights(tmp_path, suffix):
    content = weights(tmp_path / f"whole{suffix}")
    check(read_all("tests.hostile.readers:read_weights", tmp_path, suffix, mutations(content, COUNT)))


def examples(request, folder="."):
    """Configs that users copy, in a fixed order."""
    return [path.read_bytes() for path in sorted((request.config.rootpath / "examples" / folder).glob("*.yaml"))]


def test_hostile_configs_quickly(tmp_path):
    check(read_all("tests.hostile.readers:configure", tmp_path, ".yaml", CONFIGS[:17:4]), len(CONFIGS[:17:4]))


@pytest.mark.slow
def test_hostile_configs(tmp_path):
    check(read_all("tests.hostile.readers:configure", tmp_path, ".yaml", CONFIGS), len(CONFIGS))


@pytest.mark.slow
@pytest.mark.parametrize("damage", [mutations, config_mutations])
def test_damaged_configs(tmp_path, request, damage):
    whole = examples(request)
    share = -(-COUNT // len(whole))
    damaged = [copy for seed, content in enumerate(whole) for copy in damage(content, share, seed)]
    check(read_all("tests.hostile.readers:configure", tmp_path, ".yaml", damaged), len(damaged))


@pytest.mark.slow
def test_damaged_configs_on_top_of_another(tmp_path, request):
    damaged = [
        c for seed, content in enumerate(examples(request, "trainer")) for c in config_mutations(content, 8, seed)
    ]
    check(read_all("tests.hostile.readers:configure_on_top", tmp_path, ".yaml", damaged), len(damaged))


@pytest.mark.slow
def test_damaged_shards(tmp_path):
    content = video(tmp_path / "whole.mp4")
    with tarfile.open(tmp_path / "whole.tar", "w") as tar:
        for key in ("00000000", "00000001"):
            facts = json.dumps({"name": key, "num_frames": 20, "fps": 25.0}).encode()
            for suffix, part in (("json", facts), ("mp4", content)):
                entry = tarfile.TarInfo(f"{key}.{suffix}")
                entry.size = len(part)
                tar.addfile(entry, io.BytesIO(part))
    damaged = mutations((tmp_path / "whole.tar").read_bytes(), COUNT)
    outcome = read_all("tests.hostile.readers:stream", tmp_path, ".tar", damaged)
    check(outcome)


def test_what_the_fuzzing_would_catch(tmp_path):
    """The harness sees crashes, hangs, tracebacks and messages that name nothing."""
    files = [b"fine", b"crash", b"raise", b"nameless", b"lines", b"fine"]
    outcome = read_all("tests.hostile.readers:misbehave", tmp_path, ".txt", files)
    assert outcome.counts["read"] == 2
    assert len(outcome.faults) == 4
    assert "exit code -11" in outcome.faults[0] or "0001" in outcome.faults[0]


@pytest.mark.slow
def test_what_reading_configs_may_not_do(tmp_path):
    """The harness sees a file written, a process and a connection started."""
    outcome = read_all("tests.hostile.readers:trespass", tmp_path, ".txt", [b"write", b"process", b"connect", b"read"])
    assert outcome.counts == {"fault": 3, "read": 1}
    assert not (tmp_path / "pwned").exists()


def test_mutations_are_repeatable():
    content = pickle.dumps(list(range(300)))
    assert mutations(content, 50, 3) == mutations(content, 50, 3)
    assert len(set(mutations(content, 50, 3))) > 40
    assert content not in mutations(content, 50, 3)[:5]


def is_yaml(content):
    try:
        return bool(list(yaml.parse(content)))
    except yaml.YAMLError:
        return False


def test_damaged_configs_differ_and_are_well_formed_for_the_most_part(request):
    content = examples(request)[-1]
    copies = config_mutations(content, 100, 3)
    assert copies == config_mutations(content, 100, 3)
    assert len(set(copies)) > 80
    assert sum(is_yaml(copy) for copy in copies) > 50
