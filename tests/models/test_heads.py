"""Heads against their formulas."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from zfscale.models.heads import CosineHead, LinearHead


def test_linear_head_grows_and_keeps_its_rows():
    head = LinearHead(8)
    head.grow(3, seed=1)
    with torch.no_grad():
        head.bias.copy_(torch.tensor([1.0, 2.0, 3.0]))
    old = head.weight.detach().clone()
    features = torch.randn(5, 8)
    before = head(features)
    head.grow(2, seed=2)
    assert torch.equal(head.weight[:3], old)
    assert head(features).shape == (5, 5)
    torch.testing.assert_close(head(features)[:, :3], before)
    assert torch.equal(head.bias.detach(), torch.tensor([1.0, 2.0, 3.0, 0.0, 0.0]))
    assert {n for n, p in head.named_parameters() if p.requires_grad} == {"weight", "bias"}
    expected = features.numpy() @ head.weight.detach().numpy().T + head.bias.detach().numpy()
    np.testing.assert_allclose(head(features).detach().numpy(), expected, rtol=1e-5, atol=1e-5)


def test_cosine_head():
    head = CosineHead(8, 4, seed=0)
    assert head.sigma.item() == 1
    with torch.no_grad():
        head.sigma.fill_(2.5)
    f, w = torch.randn(5, 8), head.weight.detach().numpy()
    cos = f.numpy() @ w.T / np.linalg.norm(f.numpy(), axis=1)[:, None] / np.linalg.norm(w, axis=1)
    np.testing.assert_allclose(head(f).detach().numpy(), 2.5 * cos, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(head(10 * f), head(f))


@pytest.mark.parametrize("kind", ["linear", "cosine"])
def test_rows_are_kaiming_uniform_from_the_seed_alone(kind):
    def weight(seed):
        if kind == "cosine":
            return CosineHead(400, 50, seed).weight.detach()
        head = LinearHead(400)
        head.grow(50, seed)
        return head.weight.detach()

    before = torch.random.get_rng_state()
    bound = 1 / math.sqrt(400)
    assert 0.99 * bound < weight(3).abs().max() <= bound
    assert float(weight(3).var()) == pytest.approx(bound**2 / 3, rel=0.05)
    assert torch.equal(weight(3), weight(3))
    assert not torch.equal(weight(3), weight(4))
    assert torch.equal(before, torch.random.get_rng_state())
