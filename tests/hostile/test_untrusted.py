"""Names, lists and files from strangers: none leads out of its folder, none runs code."""

import gzip
import io
import json
import os
import pickle
import tarfile

import numpy as np
import pytest
import torch

from vos_lightning.cli import main
from vos_lightning.data.clips.sampling import ClipSampling
from vos_lightning.data.layouts.davis import davis_names
from vos_lightning.data.layouts.youtube_vos import read_meta
from vos_lightning.data.shards.clips import ShardClips
from vos_lightning.data.shards.reading import ShardVideo, read_shard_list
from vos_lightning.errors import CorruptFileError, VOSError
from vos_lightning.evaluation.export import plan_youtube
from vos_lightning.evaluation.metadata import read_metadata
from vos_lightning.inference.weights import load_tracker
from vos_lightning.io.masks import write_mask

NAMES = ("../x", "/etc/x", "a/../../x", "..", ".hidden", "a\\..\\x", "C:x", "a\nb", "a\0b", "")
ENDLESS = ("1e25", "1" * 26, "1e999", "NaN")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("place", ["video", "frame"])
def test_names_in_metadata_stay_inside(tmp_path, name, place):
    video, frame = (name, "00000") if place == "video" else ("a", name)
    path = tmp_path / "meta.json"
    path.write_text(json.dumps({"videos": {video: {"objects": {"1": {"category": "cat", "frames": [frame]}}}}}))
    with pytest.raises(VOSError, match=r"meta\.json: .* can't be the name"):
        read_meta(path)
    # the evaluation takes names as keys of what lies in its folders; what isn't there is missing
    (tmp_path / "results" / "a").mkdir(parents=True)
    write_mask(tmp_path / "x.png", np.ones((4, 4), np.uint8))
    write_mask(tmp_path / "results" / "a" / "00000.png", np.ones((4, 4), np.uint8))
    with pytest.raises(VOSError, match="lacks"):
        plan_youtube(tmp_path / "results", read_metadata(path))


@pytest.mark.parametrize("name", [name for name in NAMES if name.strip() and "\n" not in name])
def test_names_in_image_sets_stay_inside(tmp_path, name):
    sets = tmp_path / "ImageSets" / "2017"
    sets.mkdir(parents=True)
    (sets / "val.txt").write_text(f"{name}\n")
    with pytest.raises(VOSError, match=r"val\.txt: .* can't be the name"):
        davis_names(tmp_path, "2017", "val")


@pytest.mark.parametrize("name", ["../x.tar", "/etc/x.tar", "pipe:touch pwned", "", "a/b.tar"])
def test_names_in_lists_of_shards_stay_inside(tmp_path, name):
    pytest.importorskip("webdataset")
    (tmp_path / "shards.json").write_text(json.dumps({"shards": {name: 1}}))
    with pytest.raises(VOSError, match=r"shards\.json: .* can't be the name"):
        read_shard_list(str(tmp_path))


@pytest.mark.parametrize(
    "content",
    [
        "[]",
        '{"shards": []}',
        *(f'{{"shards": {{"a.tar": {count}}}}}' for count in ('"many"', "-1", "1.5", "true", *ENDLESS)),
        "[" * 100_000,
        "\xff",
        "{}",
    ],
)
def test_damaged_lists_of_shards_are_named(tmp_path, content):
    pytest.importorskip("webdataset")
    (tmp_path / "shards.json").write_text(content, encoding="latin-1")
    with pytest.raises(VOSError, match=r"shards\.json: no list of shards"):
        read_shard_list(str(tmp_path))


def facts(name='"a"', num_frames="3", fps="1"):
    return f'{{"name": {name}, "num_frames": {num_frames}, "fps": {fps}}}'


@pytest.mark.parametrize(
    ("key", "content"),
    [
        *((key, facts()) for key in ("one", "1" * 26, "-1", "")),
        *(("1", content) for content in ("[]", "[" * 100_000, facts(name="[1]"))),
        *(("1", facts(num_frames=frames)) for frames in ("-1", '"3"', *ENDLESS)),
        *(("1", facts(fps=fps)) for fps in ("0", "-1", "[1]", "1e999", "NaN")),
    ],
)
def test_shards_that_hold_something_else_are_told(key, content):
    with pytest.raises(VOSError, match=r"^a\.tar, .*no prepared video"):
        ShardVideo.of("a.tar", key, {"mp4": b"", "json": content.encode()})


def test_videos_of_shards_have_facts():
    assert ShardVideo.of("a.tar", "7", {"mp4": b"x", "json": facts().encode()}) == (7, "a", 3, 1.0, b"x")
    with pytest.raises(VOSError, match=r"^a\.tar, 7: no prepared video \(KeyError\('json'\)"):
        ShardVideo.of("a.tar", "7", {"mp4": b""})


def tar_entry(name, content=b"", **options):
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    for option, value in options.items():
        setattr(entry, option, value)
    padding = bytes(-len(content) % 512)
    return entry.tobuf(tarfile.GNU_FORMAT) + content + padding


def sparse_entry(path):
    """A video of 3 GB, all of it a hole, in the old format of GNU tar."""
    header = bytearray(tar_entry("0.mp4", type=tarfile.GNUTYPE_SPARSE))
    header[483:495] = b"%011o\0" % (3 * 2**30)
    header[148:156] = b"        "
    header[148:156] = b"%06o\0 " % sum(header)
    path.write_bytes(tar_entry("0.json", facts().encode()) + header + bytes(1024))


def sparse_attributes(path):
    """The same as attributes, as GNU tar writes it now."""
    sizes = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": str(3 * 2**30)}
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        entry = tarfile.TarInfo("0.mp4")
        entry.pax_headers, entry.size = {**sizes, "GNU.sparse.name": "0.mp4"}, 512
        tar.addfile(entry, io.BytesIO(b"0\n".ljust(512, b"\0")))


def compressed(path):
    """A video of 1 GB of zeros in a file of some megabytes."""
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(tar_entry("0.json", facts().encode()) + tar_entry("0.mp4", size=2**30))
        for _ in range(2**6):
            file.write(bytes(2**24))


def hole(path, **options):
    """A file of 3 GB that takes some kilobytes on the disk, being a hole."""
    content = tar_entry("0.json", facts().encode()) + tar_entry("0.mp4", size=3 * 2**30, **options)
    path.write_bytes(content)
    os.truncate(path, len(content) + 3 * 2**30 + 1024)


def hole_of_attributes(path):
    hole(path, type=tarfile.XHDTYPE)


def hole_of_a_name(path):
    hole(path, type=tarfile.GNUTYPE_LONGNAME)


@pytest.mark.parametrize(
    "write", [sparse_entry, sparse_attributes, compressed, hole, hole_of_attributes, hole_of_a_name]
)
def test_shards_that_would_swell_are_named_before_they_do(tmp_path, write, little_memory):
    pytest.importorskip("webdataset")
    write(tmp_path / "a.tar")
    clips = ShardClips({str(tmp_path / "a.tar"): 1}, ClipSampling(2), size=16, batch_size=2)
    with pytest.raises(VOSError, match=r"a\.tar: this shard can't be read \("):
        list(clips)


def test_a_shard_that_is_a_pipe_is_not_waited_for(tmp_path, pipe):
    pytest.importorskip("webdataset")
    clips = ShardClips({str(pipe(tmp_path / "a.tar")): 1}, ClipSampling(2), size=16, batch_size=2)
    with pytest.raises(VOSError, match=r"a\.tar: a pipe or a device"):
        list(clips)


def test_shards_without_one_readable_video_are_an_end_not_a_hang(tmp_path):
    pytest.importorskip("webdataset")
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        for suffix, part in (("json", facts().encode()), ("mp4", b"no video")):
            entry = tarfile.TarInfo(f"00000000.{suffix}")
            entry.size = len(part)
            tar.addfile(entry, io.BytesIO(part))
    clips = ShardClips({str(tmp_path / "a.tar"): 1}, ClipSampling(2), size=16, batch_size=2)
    with pytest.raises(VOSError, match=r"a\.tar: no video can be read in it"):
        list(clips)


@pytest.mark.parametrize("read", [read_meta, read_metadata])
@pytest.mark.parametrize("content", ["[" * 100_000, '{"videos": ' * 50_000, "1" * 10_000, '"\ud800"', ""])
def test_metadata_that_strains_a_parser_is_named(tmp_path, read, content):
    (tmp_path / "meta.json").write_text(content, encoding="utf-8", errors="surrogatepass")
    with pytest.raises(CorruptFileError, match=r"meta\.json"):
        read(tmp_path / "meta.json")


class Trap:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (self.path, "w"))


def test_weights_that_carry_code_do_not_run_it(tmp_path):
    told = {"evil.ckpt": "could run code", "evil.pt": "could run code", "evil.safetensors": "not a readable"}
    for name, reason in told.items():
        torch.save({"state_dict": {}, "hyper_parameters": {}, "trap": Trap(str(tmp_path / "pwned"))}, tmp_path / name)
        with pytest.raises(VOSError, match=f"{name}.*{reason}"):
            load_tracker(tmp_path / name)
    assert not (tmp_path / "pwned").exists()


def zipped(path, trap):
    torch.save({"state_dict": {}, "hyper_parameters": {"width": trap}, "pytorch-lightning_version": "2"}, path)


def legacy(path, trap):
    torch.save({"state_dict": {}, "trap": trap}, path, _use_new_zipfile_serialization=False)


def pickled(path, trap):
    path.write_bytes(pickle.dumps(trap))


@pytest.mark.parametrize(
    ("write", "arguments"),
    [
        (zipped, ["fit", "--ckpt_path", "evil.ckpt"]),
        (zipped, ["fit", "--ckpt_path", "last"]),
        (zipped, ["validate", "--ckpt_path", "evil.ckpt"]),
        (zipped, ["predict", "--ckpt_path", "evil.ckpt"]),
        (zipped, ["test", "--ckpt_path", "evil.ckpt", "--weights_only", "false"]),
        *((write, ["test", "--ckpt_path", "evil.ckpt"]) for write in (zipped, legacy, pickled)),
        *((write, ["fit", "--model.init_args.init_from", "evil.ckpt"]) for write in (zipped, legacy, pickled)),
    ],
)
def test_checkpoints_that_carry_code_are_told_in_a_line(tmp_path, monkeypatch, capsys, write, arguments):
    monkeypatch.chdir(tmp_path)
    for name in ("evil.ckpt", "last.ckpt"):
        write(tmp_path / name, Trap(str(tmp_path / "pwned")))
    options = ["--model", "vos_lightning.MAST", "--data", "vos_lightning.data.SyntheticDataModule"]
    command, *more = arguments
    code = main([command, *options, "--trainer.accelerator=cpu", "--trainer.logger=false", *more])
    error = capsys.readouterr().err
    assert code == 2, error
    told = [line for line in error.splitlines() if not line.startswith(("Seed set to", "going on from"))]
    assert len(told) == 1, error
    assert told[0].startswith("vos-lightning: error: ")
    assert "evil.ckpt" in told[0] or "last.ckpt" in told[0] or "weights_only=False" in told[0]
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize(
    "tag",
    ["!!python/object/apply:os.mknod [{path}]", "!!python/name:os.system", "!!python/object/new:open [{path}, w]"],
)
def test_configs_are_read_without_executing_them(tmp_path, capsys, tag):
    config = tmp_path / "evil.yaml"
    config.write_text(f"trainer:\n  max_steps: {tag.format(path=tmp_path / 'pwned')}\n")
    with pytest.raises(SystemExit) as stop:
        main(["fit", "--config", str(config), "--print_config"])
    assert stop.value.code == 2
    error = capsys.readouterr().err
    assert "evil" in error or "python" in error
    assert not (tmp_path / "pwned").exists()
