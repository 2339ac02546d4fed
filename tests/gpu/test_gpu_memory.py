"""A step needs about the memory that inference needs, by the allocator's own count."""

from __future__ import annotations

import pytest
import torch

from zfscale.bench.contestants import Step, largest_leaf
from zfscale.bench.memory import peak_of
from zfscale.bench.settings import Settings
from zfscale.metrics import peak_memory

pytestmark = [pytest.mark.gpu, pytest.mark.timeout(600)]
MIB = 2**20


def test_the_peak_is_the_allocators(cuda):
    kept = torch.zeros(8 * MIB, dtype=torch.int8, device=cuda)
    peak_memory.reset_peak()
    before = peak_memory.peak()
    gone = torch.zeros(64 * MIB, dtype=torch.int8, device=cuda)
    del gone
    assert len(kept) <= before
    assert peak_memory.peak() - before == 64 * MIB
    peak_memory.reset_peak()
    assert peak_memory.peak() == before


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_steps_peak_is_near_inferences(precision):
    """ViT-B/16, all of it trained, apart from the largest leaf, which exists twice while a module that owns it runs."""
    settings = Settings(precision=precision)
    sizes = {name: peak_of(name, settings) for name in ("forwards", "step", "fo_sgd")}
    step = Step(settings)
    print(precision, sizes, largest_leaf(step.leaves))
    assert (sizes["step"] - largest_leaf(step.leaves)) / sizes["forwards"] < 1.15
    assert sizes["step"] < sizes["fo_sgd"] / 1.5


def test_a_trial_reports_its_peak(small):
    """Of the GPU's memory: the resident set of a process that has imported torch is a thousand times this model."""
    outcome = small.run(small.spec("finetune", "zo-sgd")).outcome
    assert 0 < outcome.peak_memory_bytes == peak_memory.peak() < torch.cuda.get_device_properties(0).total_memory
