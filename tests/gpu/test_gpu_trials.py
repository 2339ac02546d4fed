"""Whole trials on CUDA: in every precision, behind DeepSpeed, repeated, and replayed from the other device's tables."""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow.dataset as ds
import pytest
import torch
from safetensors.torch import load_file

from tests.conftest import OPTIMIZERS
from tests.gpu.trials import CASES, specs
from zfscale.methods.catalogue import method as facts_of
from zfscale.results.layout import STEPS, file_of
from zfscale.training.trainers import ForwardOnly

pytestmark = [pytest.mark.gpu, pytest.mark.timeout(600)]
ROOT = Path(__file__).parents[2]
DEVICES = ("cpu", "cuda")
PRECISIONS = {"fp32": torch.float32, "bf16-mixed": torch.float32, "bf16": torch.bfloat16}
COARSE = ("bf16", "bf16-mixed")
FIRST = ("fo-sgd", "fo-adam", "fo-adamw")


def child(device: str, *words: str) -> None:
    """The program in a process that sees this device alone."""
    env = os.environ | {"PYTHONPATH": str(ROOT)} | ({"CUDA_VISIBLE_DEVICES": ""} if device == "cpu" else {})
    command = [sys.executable, "-m", "tests.gpu.trials", *words]
    done = subprocess.run(command, env=env, cwd=ROOT, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr[-3000:]
    assert json.loads(done.stdout.splitlines()[-1]) == {"device": device}


@pytest.fixture(scope="module")
def there(tmp_path_factory, tiny_vit, image_folder) -> Path:
    """The trials run on both devices, and each device's tables replayed on both."""
    directory = tmp_path_factory.mktemp("trials")
    shutil.copytree(tiny_vit, directory / "model")
    shutil.copytree(image_folder, directory / "images")
    for device in DEVICES:
        child(device, "run", str(directory))
    for device in DEVICES:
        for made_on in DEVICES:
            child(device, "replay", str(directory), f"on-{made_on}")
    return directory


def models(directory: Path) -> dict[str, torch.Tensor]:
    """All that lies in the directory of a model."""
    files = sorted(directory.glob("*.safetensors"))
    assert len(files) == 2
    return {f"{file.name}/{name}": value for file in files for name, value in load_file(file).items()}


@pytest.mark.parametrize("step", [3, None])
@pytest.mark.parametrize("made_on", DEVICES)
@pytest.mark.parametrize("case", CASES)
def test_a_trial_is_replayed_on_either_device_to_the_same_bits(case, made_on, step, there):
    one, other = (models(there / f"on-{made_on}-replayed-{device}" / f"{case}-{step}") for device in DEVICES)
    assert one.keys() == other.keys()
    assert not [name for name in one if not torch.equal(one[name], other[name])]


@pytest.mark.parametrize("case", CASES)
def test_the_first_loss_is_the_cpus(case, there):
    """Later ones part, as rounding differs; the first tells that both train the same model on the same batch."""
    trial = specs(there)[case].trial_id
    first = []
    for device in DEVICES:
        rows = ds.dataset(there / f"on-{device}" / file_of(STEPS, trial)).to_table().to_pylist()
        first.append(
            next(row["loss"] for row in rows if (row["task"], row["step"]) == (1, min(r["step"] for r in rows)))
        )
    assert first[1] == pytest.approx(first[0], rel=2e-2 if case in COARSE else 1e-5)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("method", ["finetune", "ease"])
def test_a_step_is_taken_on_the_gpu_in_its_formats(method, precision, small):
    spec = small.spec(method, "zo-sgd", train__precision=precision)
    m, task = facts_of(method).load()(spec, small.base), small.tasks(small.spec())[0]
    m.begin(task)
    trainer = ForwardOnly(m.network, m.engine, spec, task)
    trainer.batch.load(task.train_x[:8], task.train_y[:8])
    assert trainer.leaves.flat.dtype == PRECISIONS[precision]
    assert {t.device.type for t in (trainer.leaves.flat, trainer.batch.x, *m.network.parameters())} == {"cuda"}
    before = trainer.leaves.flat.clone()
    assert math.isfinite(trainer.step(1, 0.01, 0).loss)
    assert not torch.equal(before, trainer.leaves.flat)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("optimizer", [name for name in OPTIMIZERS if not name.startswith("fo-")])
def test_a_forward_only_trial_repeats_bit_for_bit(optimizer, precision, small):
    spec = small.spec("ease", optimizer, train__precision=precision, optimizer__eps=1e-2)
    told = small.run(spec)
    assert told.outcome.status == "finished"
    assert all(math.isfinite(step.loss) for step in told.steps)
    assert small.run(spec).told == told.told


@pytest.mark.parametrize("optimizer", FIRST)
def test_backpropagation(optimizer, small):
    told = small.run(small.spec("finetune", optimizer))
    assert told.outcome.status == "finished"
    assert all(math.isfinite(step.loss) for step in told.steps)


def test_float32_is_float32(small):
    """TF32, in which cuDNN would convolve, is off by a thousandth."""
    m = facts_of("simplecil").load()(small.spec("simplecil"), small.base)
    draw = torch.Generator().manual_seed(0)
    convolution = torch.nn.Conv2d(3, 256, 16, 16).to(m.engine.device)
    x = torch.randn(8, 3, 224, 224, generator=draw).to(m.engine.device)
    with torch.no_grad():
        got, expected = convolution(x).double(), convolution.double()(x.double())
    assert float((got - expected).norm() / expected.norm()) < 1e-5


def test_a_lone_process_has_a_group_of_nccl(small):
    engine = facts_of("simplecil").load()(small.spec("simplecil"), small.base).engine
    assert torch.distributed.get_backend() == "nccl"
    message = torch.ones(3, dtype=torch.float64, device=engine.device)
    torch.distributed.all_reduce(message)
    assert message.tolist() == [1.0, 1.0, 1.0]
