"""`zfscale bench step` on CUDA: what it measures is on the GPU, and it says which."""

from __future__ import annotations

import json

import pytest
import torch

from zfscale.bench.contestants import Step
from zfscale.bench.settings import Settings
from zfscale.cli import main
from zfscale.zo.directions.dense import Dense

pytestmark = [pytest.mark.gpu, pytest.mark.timeout(600)]
MODEL = ["bench", "step", "--model", "embedded/vit-nano", "--repeats", "2", "--against", "mezo"]


def test_the_command_measures_on_the_gpu(capsys):
    assert main([*MODEL, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["settings"]["device"], found["settings"]["gpu"]) == ("cuda", torch.cuda.get_device_name())
    assert all(value > 0 for value in (*found["seconds"].values(), *found["memory"].values()))
    assert main(MODEL) == 0
    assert torch.cuda.get_device_name() in capsys.readouterr().out


@pytest.mark.parametrize("precision", ["fp32", "bf16-mixed", "bf16"])
def test_a_step_of_vit_b16_takes_compiled_noise(precision):
    step = Step(Settings(precision=precision))
    assert step.leaves.device.type == "cuda"
    directions = step._stepper.problem.directions
    assert isinstance(directions, Dense)
    assert directions._compiled is not None
    step()
    assert step.leaves.finite
