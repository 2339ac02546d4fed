"""Kernels of dense directions, compiled ahead of time, for large trainable sets; eager torch gives the same bits.

A kernel generates one chunk of fixed size: C++ on CPU, Triton on GPU (not run yet), from the one source in `dense`. It
is compiled by `compile`, in a process of its own, so that the compiler's memory is not ours, and kept on disk, so that
this is paid once a machine. Before it is kept, chunks of it are compared with eager noise: one of other bits is
thrown away. Loading one takes milliseconds.
"""

from __future__ import annotations

import functools
import hashlib
import logging
import os
import platform
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from zfscale.zo.philox import words_of

Kernel = Callable[[int, int], torch.Tensor]  # (seed, first element) -> float32 [chunk]
HERE = Path(__file__).parent
SOURCES = (HERE / "dense.py", HERE / "compile.py", HERE.parent / "philox.py", HERE.parent / "exact.py")
TIMEOUT_S = 600

log = logging.getLogger(__name__)


@functools.cache  # also of a failure: one attempt a process
def load(kind: str, size: int, device: torch.device) -> Kernel | None:
    """The compiled generator of `size` elements of `kind`; None, with a warning, where it cannot be compiled."""
    try:
        path = cache() / f"{kind}-{size}-{device.type}-{fingerprint()}.pt2"
        if not path.exists():
            _compile(kind, size, device, path)
        return kernel(path, device)
    except (subprocess.SubprocessError, OSError, RuntimeError) as error:
        told = (getattr(error, "stderr", None) or str(error)).strip().splitlines()
        log.warning("noise is not compiled, so large steps are slower: %s", told[-1] if told else error)
        return None


def _compile(kind: str, size: int, device: torch.device, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{os.getpid()}-{path.name}")  # the compiler insists on the suffix
    command = [sys.executable, "-m", "zfscale.zo.directions.compile", kind, str(size), device.type, str(aside)]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=TIMEOUT_S)
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)


def kernel(path: Path, device: torch.device) -> Kernel:
    """The generator of a compiled package."""
    index = -1 if device.index is None else device.index
    runner: Any = torch._C._aoti.AOTIModelPackageLoader(str(path), "model", False, 1, index)

    def generate(seed: int, first: int) -> torch.Tensor:
        key = torch.tensor([*words_of(seed), first], device=device)
        z: torch.Tensor = runner.run([key])[0]
        return z

    return generate


def cache() -> Path:
    """Where kernels are kept."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "zfscale"


def fingerprint() -> str:
    """12 hex digits of what a kernel depends on: our source, torch, and the processor."""
    parts = [source.read_bytes() for source in SOURCES]
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else ""
    machine = (torch.__version__, platform.machine(), torch.backends.cpu.get_cpu_capability(), gpu)
    return hashlib.sha256(b"".join([*parts, repr(machine).encode()])).hexdigest()[:12]
