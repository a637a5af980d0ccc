import time
from pathlib import Path

import pytest
import torch.distributed as dist
import torch.multiprocessing as processes

from vos_lightning.ranks import AllRanksError, gather_soon


def answers(rank, store):
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
    assert gather_soon({"rank": rank}, 1800) == [{"rank": 0}, {"rank": 1}]
    assert gather_soon(["second", rank], 1800) == [["second", 0], ["second", 1]]
    dist.destroy_process_group()


def is_silent(rank, store):
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
    told = Path(f"{store}-told")
    if rank == 0:
        with pytest.raises(AllRanksError, match="rank 1 of 2 gives no answer for 1 seconds"):
            gather_soon(0, 1)
        told.touch()
    while not told.exists():
        time.sleep(0.05)
    dist.destroy_process_group()


@pytest.mark.parametrize("behaviour", [answers, is_silent])
def test_two_ranks(behaviour, tmp_path):
    processes.start_processes(behaviour, (tmp_path / "store",), nprocs=2, start_method="fork")


def test_one_process_hears_itself():
    assert gather_soon("a", 1) == ["a"]
