"""Peak memory of this process: the accelerator's allocator where there is one, else the resident set."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import sys
from pathlib import Path
from typing import Literal

import torch

STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def counted() -> Literal["allocator", "resident"]:
    """What a peak is of: the tensors on the accelerator, or everything that the process holds, its libraries too."""
    return "allocator" if torch.cuda.is_available() else "resident"


def reset_peak() -> None:
    """Start a new measurement; workers are reused, so each trial starts its own."""
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    elif CLEAR.exists():
        gc.collect()
        if hasattr(libc := ctypes.CDLL(None), "malloc_trim"):
            libc.malloc_trim(0)  # else what an earlier trial freed still counts as resident
        with contextlib.suppress(PermissionError):  # a hardened container: then the peak is the process's
            CLEAR.write_text("5")  # resets VmHWM (man 5 proc)


def peak() -> int:
    """Bytes at the peak since `reset_peak`; where /proc is missing or closed, since the process began."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    for row in STATUS.read_text().splitlines() if STATUS.exists() else []:
        if row.startswith("VmHWM"):
            return int(row.split()[1]) * 1024
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
