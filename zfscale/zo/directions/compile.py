"""Compile the kernel of a dense direction with Inductor: KIND SIZE DEVICE PATH, run as a process of its own."""

from __future__ import annotations

import sys
from typing import Any

import torch
from torch._inductor import config

from zfscale.zo.directions.dense import NOISES


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


if __name__ == "__main__":
    build(sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4])
