"""How the C library hands out memory."""

import ctypes
import sys

# of mallopt(3)
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3


def keep_freed_memory() -> None:
    """Have glibc keep up to 1 GiB that was freed, for the next tensors: fresh pages take the system time to clear.

    Does nothing with another C library.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        mallopt(_MMAP_THRESHOLD, 32 * 2**20)  # more is refused
        mallopt(_TRIM_THRESHOLD, 2**30)
