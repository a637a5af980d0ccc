import json
import tarfile
from itertools import chain

import pytest

from vos_lightning.data.clips.sampling import ClipSampling
from vos_lightning.data.shards import writing
from vos_lightning.data.shards.clips import ShardClips, plan_epoch
from vos_lightning.data.shards.reading import read_shard_list
from vos_lightning.data.shards.writing import prepare_shards
from vos_lightning.data.tools.encoding import Encoding
from vos_lightning.errors import DatasetNotFoundError, VOSError
from vos_lightning.io.frames import open_frames

pytest.importorskip("webdataset", reason="the extra `shards` isn't installed")
SMALL = Encoding(short_side=24, gop=2)
NAMES = ["clip10", "clip2", "frames/a", "frames/b", "walks/old/lake", "walks/park"]


@pytest.fixture
def sharded(videos, tmp_path):
    prepare_shards(videos, tmp_path / "shards", 4, encoding=SMALL)
    return tmp_path / "shards"


def test_shards_hold_every_video_once_with_its_facts(sharded):
    facts = {}
    for path in sorted(sharded.glob("*.tar")):
        with tarfile.open(path) as tar:
            members = [name for name in tar.getnames() if name.endswith(".json")]
            facts |= {name: json.load(tar.extractfile(name)) for name in members}
            assert [name.replace(".json", ".mp4") in tar.getnames() for name in members] == [True] * len(members)
    assert sorted(fact["name"] for fact in facts.values()) == NAMES
    assert {fact["name"]: fact["num_frames"] for fact in facts.values()}["walks/park"] == 20
    assert list(read_shard_list(str(sharded)).values()) == [2, 2, 1, 1]


def test_it_goes_on_where_it_stopped(videos, sharded):
    shard = sharded / "shard-00001-of-00004.tar"
    kept = shard.stat().st_mtime_ns
    (sharded / "shard-00002-of-00004.tar").unlink()
    report = prepare_shards(videos, sharded, 4, encoding=SMALL)
    assert (report.written, report.kept) == (1, 5)
    assert shard.stat().st_mtime_ns == kept
    assert not [path for path in sharded.iterdir() if path.name.startswith(".")]


def test_stale_and_broken_shards_are_written_again(make, tmp_path):
    for name in ("a.mp4", "a.mov", "b.mp4"):
        make.video(tmp_path / "in" / name, make.frames(3))
    arguments = tmp_path / "in", tmp_path / "out", 3
    prepare_shards(*arguments, encoding=SMALL)
    make.video(tmp_path / "in/b.mp4", make.frames(5))
    shards = sorted((tmp_path / "out").glob("*.tar"))
    shards[0].write_bytes(shards[0].read_bytes()[:3000])
    report = prepare_shards(*arguments, encoding=SMALL)
    assert (report.written, report.kept, report.frames) == (2, 1, 8)
    facts = []
    for path in shards:
        with tarfile.open(path) as tar:
            facts += [json.load(tar.extractfile(name)) for name in tar.getnames() if name.endswith(".json")]
    assert sorted((fact["name"], fact["num_frames"]) for fact in facts) == [("a.mov", 3), ("a.mp4", 3), ("b", 5)]


def test_bad_videos_are_left_out_and_named(spoiled, tmp_path_factory):
    root, bad = spoiled
    output = tmp_path_factory.mktemp("out")
    report = prepare_shards(root, output, 3, encoding=SMALL)
    again = prepare_shards(root, output, 3, encoding=SMALL)
    assert (again.kept, [path for path, _ in again.faults]) == (7, [path for path, _ in report.faults])
    assert sorted(path for path, _ in report.faults) == sorted(str(path) for path in bad if path.stem != "single")
    assert report.written == 7


def test_nonsense_is_refused(videos, sharded, tmp_path):
    with pytest.raises(VOSError, match="shards=7: from 1 to 6"):
        prepare_shards(videos, tmp_path / "other", 7)
    with pytest.raises(VOSError, match="another number of shards"):
        prepare_shards(videos, sharded, 2, encoding=SMALL)
    with pytest.raises(DatasetNotFoundError, match=r"shards\.json"):
        read_shard_list(str(tmp_path))


@pytest.mark.parametrize(("world", "workers"), [(1, 1), (2, 1), (2, 2), (3, 2)])
@pytest.mark.parametrize("lengths", [(5, 5, 5, 5), (9, 1, 4, 4, 3, 3, 2)])
def test_plans_share_all_shards_and_give_ranks_as_many_batches(world, workers, lengths):
    shards = {f"shard{number}": length for number, length in enumerate(lengths)}
    totals, orders = set(), set()
    for epoch in range(4):
        plans = plan_epoch(shards, epoch, 0, world, workers, 2, 3)
        assert sorted(chain.from_iterable(plan.shards for rank in plans for plan in rank)) == sorted(shards)
        totals |= {sum(plan.batches for plan in rank) for rank in plans}
        orders.add(str(plans))
        for plan in chain.from_iterable(plans):
            assert plan.batches * 3 >= sum(shards[name] for name in plan.shards) * 2
    assert len(totals) == 1
    assert len(orders) > 1


def test_too_few_shards_for_the_ranks_is_said(sharded):
    with pytest.raises(VOSError, match="4 shards for 5 ranks"):
        ShardClips(read_shard_list(str(sharded)), ClipSampling(2), world=5)


def test_every_clip_is_drawn_anew_in_every_epoch(sharded):
    clips = ShardClips(read_shard_list(str(sharded)), ClipSampling(2), size=24, clips_per_video=2, batch_size=4)
    assert len(clips) == 3
    seeds = []
    for epoch in (0, 0, 1):
        clips.epoch.fill_(epoch)
        batches = list(clips)
        assert sorted(name for batch in batches for name in batch["sequence"]) == sorted(2 * NAMES)
        seeds.append({seed for batch in batches for seed in batch["seed"].tolist()})
    assert seeds[0] == seeds[1]
    assert len(seeds[0]) == 12
    assert not seeds[0] & seeds[2]


def test_a_rank_with_fewer_batches_makes_up_with_other_clips(sharded):
    ranks = [
        ShardClips(read_shard_list(str(sharded)), ClipSampling(2), size=24, batch_size=1, world=3, rank=rank)
        for rank in range(3)
    ]
    assert {len(rank) for rank in ranks} == {3}
    batches = [list(rank) for rank in ranks]
    assert [len(rank) for rank in batches] == [3, 3, 3]
    seeds = [int(batch["seed"]) for rank in batches for batch in rank]
    assert len(set(seeds)) == 9
    assert {name for rank in batches for batch in rank for name in batch["sequence"]} == set(NAMES)


def test_what_could_not_be_read_once_comes_into_its_shard_later(videos, tmp_path, monkeypatch):
    def forbidden(path):
        if path.name == "park.mp4":
            raise VOSError(f"{path}: may not be read (permission denied); change its permissions")
        return open_frames(path)

    with monkeypatch.context() as patch:
        patch.setattr(writing, "open_frames", forbidden)
        report = prepare_shards(videos, tmp_path, 3, encoding=SMALL)
        assert (report.written, len(report.faults)) == (5, 1)
        report = prepare_shards(videos, tmp_path, 3, encoding=SMALL)
        assert (report.kept, len(report.faults)) == (5, 1)
    report = prepare_shards(videos, tmp_path, 3, encoding=SMALL)
    assert (report.kept, report.written, report.faults) == (4, 2, [])
    assert list(read_shard_list(str(tmp_path)).values()) == [2, 2, 2]
