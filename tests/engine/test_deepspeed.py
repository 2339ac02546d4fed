"""The engine computes what the bare module does, and starts without compiling anything."""

from __future__ import annotations

import copy
import gc
import os
import subprocess
import sys

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from zfscale.engine.deepspeed import Engine, start_process_group
from zfscale.engine.module_leaves import trainable
from zfscale.engine.module_oracle import ModuleOracle
from zfscale.engine.overlay import Overlay
from zfscale.models.adapters import Adapters
from zfscale.models.heads import LinearHead
from zfscale.models.network import Network
from zfscale.models.vit import build, load_base
from zfscale.spec import EngineSpec
from zfscale.zo.directions.dense import Gaussian
from zfscale.zo.estimate import forward_gradient, spsa
from zfscale.zo.problem import Problem

START = """
import torch
from zfscale.engine.deepspeed import Engine
engine = Engine(torch.nn.Linear(3, 2), 4)
assert engine(torch.zeros(4, 3)).shape == (4, 2)
Engine(torch.nn.Linear(3, 2), 4)
"""


def mlp() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Dropout(0.5), nn.Linear(7, 3))


def network(saved, attention: str = "sdpa") -> Network:
    encoder = build(load_base(str(saved("vit"))), attention)
    encoder.requires_grad_(False)
    adapters = Adapters(encoder.backbone, 4, 0.5, 0.1)
    net = Network(encoder, adapters)
    adapters.add(seed=0)
    head = LinearHead(encoder.width)
    head.grow(4, seed=1)
    net.head = head
    g = torch.Generator().manual_seed(2)
    for p in adapters.parameters():
        p.data.add_(torch.randn(p.shape, generator=g), alpha=0.3)
    return net


def test_forward_is_the_modules(saved, images):
    net = network(saved)
    engine = Engine(net, 3)
    engine.train(False)
    with torch.no_grad():
        for features in (False, True):
            assert torch.equal(engine(images, features=features), net(images, features=features))
    assert engine(images).shape == (3, 4)
    assert engine(images[:1]).shape == (1, 4)  # the last batch of an epoch may be smaller


def test_train_switches_dropout():
    module = mlp()
    engine = Engine(module, 2)
    x = torch.randn(2, 5)
    engine.train(True)
    assert module.training
    assert not torch.equal(engine(x), engine(x))
    engine.train(False)
    assert not module.training
    assert torch.equal(engine(x), engine(x))


@pytest.mark.parametrize(("momentum", "scale"), [(0.0, 1.0), (0.9, 1.0), (0.9, 100.0)])
def test_first_order_steps_are_those_of_torch(momentum, scale):
    """Also with a second engine on the same module, as the next task makes one, and where gradients are large."""
    module = mlp().eval()
    expected = copy.deepcopy(module)
    for task in range(2):
        optimizer = torch.optim.SGD(module.parameters(), 0.1 / scale, momentum=momentum, weight_decay=0.01)
        reference = torch.optim.SGD(expected.parameters(), 0.1 / scale, momentum=momentum, weight_decay=0.01)
        engine = Engine(module, 8, optimizer)
        engine.train(False)
        for step in range(3):
            x = torch.randn(8 if step < 2 else 3, 5, generator=torch.Generator().manual_seed(10 * task + step))
            for i, part in enumerate(x.split([1, len(x) - 1])):  # as two micro-batches
                engine.backward(engine(part).square().mean() * (scale * len(part) / len(x)), last=i == 1)
            engine.step()
            reference.zero_grad()
            (scale * expected(x).square().mean()).backward()
            reference.step()
            for a, b in zip(module.parameters(), expected.parameters(), strict=True):
                torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-7)
            assert all(p.grad is None or not p.grad.any() for p in module.parameters())


def test_forward_mode_runs_through_the_engine(saved, images):
    """Coefficients of forward gradient against autograd, through DeepSpeed, eager attention, adapters and head."""
    net = network(saved, "eager")
    engine = Engine(net, 3)
    engine.train(False)
    labels = torch.tensor([0, 3, 1])

    def loss() -> torch.Tensor:
        return F.cross_entropy(engine(images), labels)

    leaves = trainable(net)
    assert {leaf.name.split(".")[0] for leaf in leaves} == {"adapters", "head"}
    problem = Problem(ModuleOracle(loss, leaves, Overlay(net, leaves)), Gaussian(leaves))
    jvp = forward_gradient(problem, [1, 2])
    two_sided = spsa(problem, [1, 2], eps=1e-3, sides=2)
    twin = network(saved).eval()  # bare, with fused attention
    value = F.cross_entropy(twin(images), labels)
    value.backward()
    grads = {n: p.grad for n, p in twin.named_parameters() if p.grad is not None}
    gradient = torch.cat([grads[leaf.name].flatten() for leaf in leaves])
    expected = [float(gradient @ problem.directions.slice(seed, 0, leaves.total)) for seed in (1, 2)]
    assert jvp.coefficients == pytest.approx(expected, rel=1e-4)
    assert jvp.loss == pytest.approx(float(value.detach()), rel=1e-6)
    assert two_sided.coefficients == pytest.approx(expected, rel=0.05, abs=5e-3)


def test_a_process_starts_without_compiling(tmp_path):
    """DeepSpeed would build its shared-memory collectives in TORCH_EXTENSIONS_DIR, a minute on CPU."""
    extensions = tmp_path / "extensions"
    env = os.environ | {"TORCH_EXTENSIONS_DIR": str(extensions), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", START], env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert not extensions.exists() or not any(extensions.iterdir())


def test_a_module_that_was_divided_leaves_no_weights_behind():
    """DeepSpeed keeps such modules in a cache for as long as the process lives; a worker runs trial after trial."""
    start_process_group()
    engine = Engine(nn.Sequential(nn.Linear(1000, 1000)), 2, settings=EngineSpec(stage=3))
    assert engine(torch.ones(2, 1000)).shape == (2, 1000)
    assert large_tensors()
    del engine
    gc.collect()
    assert not large_tensors()


def large_tensors() -> list[torch.Size]:
    found = (x for x in gc.get_objects() if isinstance(x, torch.Tensor))
    return [x.shape for x in found if x.untyped_storage().nbytes() >= 4_000_000]


def test_a_machine_without_a_gpu_is_not_told_so_at_every_command():
    code = "from zfscale.engine.deepspeed import start_process_group; start_process_group()"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("", "")
