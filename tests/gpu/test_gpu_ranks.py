"""A trial on two GPUs, whose ranks meet through NCCL: the trial of one GPU, and the same bits on both."""

from __future__ import annotations

import os
import pickle
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.training import ranked
from zfscale.engine.deepspeed import start_process_group
from zfscale.models.lm import load_lm

pytestmark = [pytest.mark.gpu, pytest.mark.timeout(900)]
ROOT = Path(__file__).parents[2]
CASES = ("full/stage 0", "full/stage 3", "bf16/stage 0", "query", "fo-adamw/stage 2/fp32/none")
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
    for rank in ranks:
        _, error = rank.communicate(timeout=800)
        assert rank.returncode == 0, error[-3000:]
    return [pickle.loads((directory / str(rank)).read_bytes()) for rank in range(2)]


@pytest.mark.parametrize("case", CASES)
def test_two_gpus_take_the_steps_of_one(case, found):
    alone = ranked.run(load_lm("embedded/lm-nano"), ranked.spec({**ranked.CASES[case], "engine": {}}))
    (losses, weights), (others, copy) = (rank[case] for rank in found)
    assert losses == others
    assert all(torch.equal(weights[name], copy[name]) for name in weights)
    assert losses == pytest.approx([s.loss for s in alone.told.steps], rel=RELATIVE.get(case, 2e-5))
