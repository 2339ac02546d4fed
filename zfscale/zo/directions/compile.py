"""Compile the kernel of a dense direction with Inductor: KIND SIZE DEVICE PATH, run as a process of its own."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch
from torch._inductor import config

from zfscale.zo.directions.compiled import Kernel, kernel
from zfscale.zo.directions.dense import NOISES
from zfscale.zo.philox import derive, words_of

LOOKS = 4  # chunks of a new kernel that are compared with eager noise


def build(kind: str, size: int, device: str, path: str) -> None:
    """Compile the generator and write the package."""

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
    check(kernel(Path(path), torch.device(device)), kind, size, torch.device(device))


def check(made: Kernel, kind: str, size: int, device: torch.device) -> None:
    """Exit with a line of what differs, unless some chunks, near and far ones, have the bits of eager noise."""
    for look in range(LOOKS):
        seed, first = derive(0, look), look * 2**34 // size * size
        z, eager = made(seed, first), NOISES[kind](words_of(seed), first, size, device)
        if other := int((z.view(torch.int32) != eager.view(torch.int32)).sum()):
            sys.exit(f"{other} of {size} elements of compiled {kind} noise on {device} are not those of eager torch")


if __name__ == "__main__":
    build(sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4])
