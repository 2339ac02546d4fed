"""DeepSpeed's stages on one GPU, and a trial on two, whose ranks meet through NCCL."""

from __future__ import annotations

import math
import os
import pickle
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.training import ranked
from zfscale.engine.deepspeed import start_process_group
from zfscale.models.lm import load_lm

pytestmark = [pytest.mark.gpu, pytest.mark.timeout(900)]
ROOT = Path(__file__).parents[2]
CASES = ("full/stage 0", "full/stage 3", "bf16/stage 0", "query", "fo-adamw/stage 2/fp32/none")
STAGES = {
    ("fo-adamw", 1, "fp32", "none"): 2e-5,
    ("fo-adamw", 2, "fp32", "cpu"): 2e-5,
    ("fo-adamw", 2, "bf16", "none"): 2e-2,
}
RELATIVE = {"bf16/stage 0": 2e-2}  # of a loss; forwards in bf16 round otherwise on shares of a batch


def main(rank: int, port: int, directory: Path) -> None:
    """One of the two ranks, on the only GPU it sees."""
    store = torch.distributed.TCPStore("127.0.0.1", port, 2, rank == 0)
    start_process_group(store, rank, 2)
    assert torch.distributed.get_backend() == "nccl"
    base = load_lm("embedded/lm-nano")
    found = {case: ranked.run(base, ranked.spec(ranked.CASES[case])) for case in CASES}
    told = {
        case: ([s.loss for s in f.told.steps], {k: v.cpu() for k, v in f.weights.items()}) for case, f in found.items()
    }
    (directory / str(rank)).write_bytes(pickle.dumps(told))


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """Losses and weights of each case, by rank."""
    if (count := torch.cuda.device_count()) < 2:
        pytest.skip(f"{count} CUDA device: what needs NCCL between two was not run")
    directory = tmp_path_factory.mktemp("ranks")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    ranks = []
    for rank in range(2):
        env = os.environ | {"PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": str(rank)}
        program = f"from tests.gpu.test_gpu_ranks import *; main({rank}, {port}, Path({str(directory)!r}))"
        ranks.append(subprocess.Popen([sys.executable, "-c", program], env=env, stderr=subprocess.PIPE, text=True))
    for process in ranks:
        _, error = process.communicate(timeout=800)
        assert process.returncode == 0, error[-3000:]
    return [pickle.loads((directory / str(rank)).read_bytes()) for rank in range(2)]


@pytest.mark.parametrize("case", CASES)
def test_two_gpus_take_the_steps_of_one(case, found):
    alone = ranked.run(load_lm("embedded/lm-nano"), ranked.spec({**ranked.CASES[case], "engine": {}}))
    (losses, weights), (others, copy) = (rank[case] for rank in found)
    assert losses == others
    assert all(torch.equal(weights[name], copy[name]) for name in weights)
    assert losses == pytest.approx([s.loss for s in alone.told.steps], rel=RELATIVE.get(case, 2e-5))


def losses_of(case: dict[str, Any]) -> list[float]:
    """Of the steps of a trial on one GPU."""
    return [step.loss for step in ranked.run(load_lm("embedded/lm-nano"), ranked.spec(case)).told.steps]


@pytest.mark.parametrize("name", ["full", "conserve"])
def test_weights_divided_by_zero_3_take_the_same_steps(name):
    """On one rank, which holds all of them."""
    whole, divided = (losses_of(ranked.CASES[f"{name}/stage {stage}"]) for stage in (0, 3))
    assert divided == pytest.approx(whole, rel=2e-5)


@pytest.mark.parametrize("of", STAGES, ids=str)
def test_backpropagation_at_deepspeeds_stages(of):
    """As DeepSpeed's stage 0 in float32 has it."""
    name, stage, dtype, offload = of
    plain = {"optimizer": {"name": name, "lr": 1e-3, "weight_decay": 0.01}}
    found = losses_of({**plain, "engine": {"stage": stage, "dtype": dtype, "offload": offload}})
    assert found == pytest.approx(losses_of(plain), rel=STAGES[of])


def test_backpropagation_in_fp16():
    """DeepSpeed skips steps until its loss scale suits, so that later losses are not those of float32."""
    plain = {"optimizer": {"name": "fo-adamw", "lr": 1e-3}}
    found = losses_of({**plain, "engine": {"stage": 1, "dtype": "fp16"}})
    assert found[0] == pytest.approx(losses_of(plain)[0], rel=2e-2)
    assert all(map(math.isfinite, found))
