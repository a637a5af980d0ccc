"""Another rank of the run that ended: one line on those that waited for it, whatever they were doing."""

import re

import torch.distributed as dist

from vos_lightning.data.clips.worker_errors import causes

_LOST = re.compile(r"/gloo/|NCCL|TCPStore|monitoredBarrier")


def dead_rank(error: BaseException) -> str | None:
    """What to say of a rank that can't be reached; None if an error has another cause.

    >>> dead_rank(RuntimeError("[/gloo/transport/tcp/pair.cc:537] Read error: Connection reset by peer"))[:40]
    'another process of the run has ended, or'
    >>> dead_rank(RuntimeError("CUDA out of memory"))
    """
    if any(isinstance(cause, dist.DistError) or _is_lost_connection(cause) for cause in causes(error)):
        return (
            "another process of the run has ended, or can't be reached: its own output says why; "
            "go on with --ckpt_path last"
        )
    return None


def _is_lost_connection(error: BaseException) -> bool:
    return type(error) is RuntimeError and _LOST.search(str(error)) is not None
