"""Noise kernels compiled ahead of time by Inductor, for large trainable sets; eager torch gives the same bits.

A kernel generates one chunk of fixed size: C++ on CPU, Triton on GPU (not run yet), from the one source in `noise`. It
is compiled in a process of its own, so that the compiler's memory is not ours, and kept on disk, so that this is paid
once a machine. Loading one takes milliseconds.
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
SOURCES = ("noise.py", "philox.py", "exact.py", "compiled.py")
TIMEOUT_S = 600

log = logging.getLogger(__name__)


@functools.cache  # also of a failure: one attempt a process
def load(kind: str, size: int, device: torch.device) -> Kernel | None:
    """The compiled generator of `size` elements of `kind`; None, with a warning, where it cannot be compiled."""
    try:
        path = cache() / f"{kind}-{size}-{device.type}-{fingerprint()}.pt2"
        if not path.exists():
            _compile(kind, size, device, path)
        runner = _runner(path, device)
    except (subprocess.SubprocessError, OSError, RuntimeError) as error:
        told = (getattr(error, "stderr", None) or str(error)).strip().splitlines()
        log.warning("noise is not compiled, so large steps are slower: %s", told[-1] if told else error)
        return None

    def generate(seed: int, first: int) -> torch.Tensor:
        key = torch.tensor([*words_of(seed), first], device=device)
        z: torch.Tensor = runner.run([key])[0]
        return z

    return generate


def _compile(kind: str, size: int, device: torch.device, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{os.getpid()}-{path.name}")  # the compiler insists on the suffix
    command = [sys.executable, "-m", "zfscale.zo.compiled", kind, str(size), device.type, str(aside)]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=TIMEOUT_S)
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)


def _runner(path: Path, device: torch.device) -> Any:
    index = -1 if device.index is None else device.index
    return torch._C._aoti.AOTIModelPackageLoader(str(path), "model", False, 1, index)


def cache() -> Path:
    """Where kernels are kept."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "zfscale"


def fingerprint() -> str:
    """12 hex digits of what a kernel depends on: our source, torch, and the processor."""
    parts = [(Path(__file__).parent / name).read_bytes() for name in SOURCES]
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else ""
    machine = (torch.__version__, platform.machine(), torch.backends.cpu.get_cpu_capability(), gpu)
    return hashlib.sha256(b"".join([*parts, repr(machine).encode()])).hexdigest()[:12]


def build(kind: str, size: int, device: str, path: str) -> None:
    """Compile the generator and write the package; run in the child process."""
    from torch._inductor import config

    from zfscale.zo.noise import NOISES

    class Generator(torch.nn.Module):
        def forward(self, key: torch.Tensor) -> torch.Tensor:
            return NOISES[kind]((key[0], key[1]), key[2], size, key.device)

    example: tuple[Any, ...] = (torch.tensor([1, 2, size], device=device),)
    program = torch.export.export(Generator(), example)
    # The CPU's compiler flags round every operation as eager torch does. A GPU must be told to: no fused multiply-add,
    # exact division.
    exact = {} if device == "cpu" else {"emulate_precision_casts": True}
    if exact and hasattr(config, "eager_numerics"):
        exact["eager_numerics.division_rounding"] = True
    with config.patch(exact):
        torch._inductor.aoti_compile_and_package(program, package_path=path)


if __name__ == "__main__":
    build(sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4])
