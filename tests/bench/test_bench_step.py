"""What is measured is what is claimed: forwards, dtypes, ratios. No time is asserted."""

from __future__ import annotations

import importlib.util
import json
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch

from zfscale.bench import memory, peers, step
from zfscale.bench.contestants import LR, Step, _network, batch_for, contestants, stored
from zfscale.bench.settings import Settings
from zfscale.cli import main
from zfscale.errors import ZfscaleError
from zfscale.models.front import Front
from zfscale.models.network import Network

NANO: dict[str, Any] = {"model": "embedded/vit-nano", "batch_size": 2}
MODEL = ["bench", "step", "--model", "embedded/vit-nano"]
FORWARDS = {"forwards": 2, "step": 2, "mezo": 2, "infty": 2, "fo_sgd": 1}


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    """Measured in this process, where a child of its own for each peak would take its time to start."""
    settings = Settings(**NANO, repeats=1, threads=torch.get_num_threads(), precision="bf16", against=("mezo",))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(step, "peak_of", memory.child)
        return json.loads(json.dumps(step.measure(settings)))


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    count: Counter[str] = Counter()
    forward = Network.forward

    def counted(self: Network, *args: Any, **kwargs: Any) -> torch.Tensor:
        count["forward"] += 1
        return forward(self, *args, **kwargs)

    monkeypatch.setattr(Network, "forward", counted)
    return count


def weights(network: Network) -> torch.Tensor:
    return torch.cat([p.detach().float().flatten().clone() for p in network.parameters()])


def test_the_object_says_what_was_measured(found):
    assert set(found) == {
        "settings",
        "seconds",
        "spread",
        "ratio_to_forwards",
        "fo_ratio_to_forwards",
        "against",
        "peak_memory_ratio",
        "memory",
    }
    told = found["settings"]
    assert told["parameters"] == 84100
    assert (told["precision"], told["peer_precision"], told["against"]) == ("bf16", "fp32", ["mezo"])
    assert {"threads", "torch", "cpu", "forwards", "repeats", "noise", "device"} <= set(told)
    assert set(found["seconds"]) == set(found["spread"]) == {"forwards", "forwards_fp32", "step", "fo_sgd", "mezo"}


def test_ratios_are_quotients_of_what_is_shown(found):
    seconds, sizes = found["seconds"], found["memory"]
    assert found["ratio_to_forwards"] == seconds["step"] / seconds["forwards"]
    assert found["fo_ratio_to_forwards"] == seconds["fo_sgd"] / seconds["forwards_fp32"]
    assert found["against"]["mezo"] == {
        "seconds": seconds["mezo"],
        "speedup": seconds["mezo"] / seconds["step"],
        "ratio_to_forwards": seconds["mezo"] / seconds["forwards_fp32"],
    }
    assert sizes["largest_leaf_bytes"] == 100 * 48 * 2  # the head's weight, stored in bf16
    assert found["peak_memory_ratio"] == (sizes["step_bytes"] - 100 * 48 * 2) / sizes["inference_bytes"]
    for name, spread in found["spread"].items():
        assert 0 < spread["min"] <= seconds[name] <= spread["max"]


def test_a_peak_is_that_of_a_process_of_its_own():
    ballast = torch.ones(1 << 30, dtype=torch.int8)  # ours
    assert 1 << 27 < memory.peak_of("forwards", Settings(**NANO)) < len(ballast)
    with pytest.raises(ZfscaleError, match=r"memory of forwards: .*no such embedded model"):
        memory.peak_of("forwards", Settings(model="embedded/none"))


def test_the_table_has_a_row_for_each(found):
    text = step.table(found)
    assert "84,100 parameters, batch of 2, bf16 (peers: fp32)" in text
    for name in found["seconds"]:
        assert f"\n{name} " in text
    on_gpu = step.table({**found, "settings": {**found["settings"], "gpu": "some GPU"}})
    assert "2 forwards a step; some GPU, " in on_gpu
    assert "some GPU" not in text


def test_rounds_are_interleaved_and_the_first_is_dropped():
    order: list[str] = []
    runs: dict[str, Callable[[], object]] = {name: partial(order.append, name) for name in ("a", "b")}
    times = step.interleaved(runs, 2)
    assert order == ["a", "b"] * 3
    assert {name: len(values) for name, values in times.items()} == {"a": 2, "b": 2}


@pytest.mark.parametrize("name", FORWARDS)
def test_forwards_of_each(name, calls):
    if name == "infty":
        pytest.importorskip("infty")
    with torch.random.fork_rng(devices=[]):
        run = contestants(Settings(**NANO), [name])[name]
        calls.clear()
        run()
    assert calls["forward"] == FORWARDS[name]


@pytest.mark.parametrize(("queries", "sides", "count"), [(1, 1, 2), (3, 1, 4), (3, 2, 6)])
def test_bare_forwards_are_as_many_as_the_steps(queries, sides, count, calls):
    settings = Settings(**NANO, queries=queries, sides=sides)
    assert settings.peers == ()
    for name, run in contestants(settings, ["forwards", "step"]).items():
        calls.clear()
        run()
        assert calls["forward"] == count, name


@pytest.mark.parametrize(
    "precision",
    [
        "fp32",
        "bf16-mixed",
        "bf16",
    ],
)
def test_the_step_moves_every_kind_of_weight(precision):
    run = Step(Settings(**NANO, precision=precision))
    assert all(p.requires_grad for p in run.network.parameters())
    assert run.leaves.flat.dtype == (torch.bfloat16 if precision == "bf16" else torch.float32)
    before = weights(run.network)
    for _ in range(3):
        run()
    changed = (weights(run.network) != before).float().mean()
    assert changed > (0.0 if precision == "bf16" else 0.5)


@pytest.mark.parametrize(("precision", "head"), [("bf16-mixed", torch.float32), ("bf16", torch.bfloat16)])
def test_bare_forwards_read_16_bit_weights(precision, head):
    network: Any = stored(_network(Settings(**NANO), precision))
    assert {p.dtype for p in network.encoder.parameters()} == {torch.bfloat16}
    assert {p.dtype for p in network.head.parameters()} == {head}
    assert network(batch_for(network, Settings(**NANO)).images).dtype == torch.float32


def test_mezo_restores_and_then_follows_z():
    network = _network(Settings(**NANO), "fp32")
    loss = batch_for(network, Settings(**NANO)).loss(network)
    before = weights(network)
    peers.MeZO(network, loss, lr=0.0, eps=1e-3).step(7)
    torch.testing.assert_close(weights(network), before, rtol=0, atol=1e-6)
    projected = peers.MeZO(network, loss, lr=1e-2, eps=1e-3).step(7)
    draw = torch.Generator().manual_seed(7)
    z = torch.cat([torch.normal(0.0, 1.0, p.shape, generator=draw).flatten() for p in network.parameters()])
    torch.testing.assert_close(weights(network), before - 1e-2 * projected * z, rtol=0, atol=1e-5)


def test_infty_takes_its_own_zeroth_order_step():
    pytest.importorskip("infty")
    network = _network(Settings(**NANO), "fp32")
    batch = batch_for(network, Settings(**NANO))
    base = torch.optim.SGD(network.parameters(), lr=LR)
    before = weights(network)
    with torch.random.fork_rng(devices=[]):
        run = peers.infty(network, lambda: network(batch.images), peers.loss_of(batch.labels), base, 1e-3)
        run()
    assert 0 < (weights(network) - before).abs().max() < 1e-2
    assert all(p.grad is None for p in network.parameters())


BAD = {
    "batch size": (["--batch-size", "0"], "--batch-size 0: expected an integer >= 1"),
    "threads": (["--threads", "0"], "--threads 0: expected an integer >= 1"),
    "precision": (["--precision", "fp23"], "--precision fp23: unknown; did you mean 'fp32'?"),
    "noise": (["--noise", "white"], "--noise white: unknown; allowed: gaussian, low-rank, rademacher"),
    "optimizer": (["--optimizer", "fo-sgd"], "--optimizer fo-sgd: unknown; did you mean 'zo-sgd'?"),
    "sides": (["--sides", "3"], "--sides 3: expected 1 or 2"),
    "momentum": (["--momentum", "1"], "--momentum 1.0: expected a number in [0, 1)"),
    "peer": (["--against", "mezzo"], "--against mezzo: unknown; did you mean 'mezo'?"),
    "peer of another step": (["--against", "mezo", "--queries", "2"], "--against mezo: the peers take --queries 1"),
    "model": (["--model", "vit-b61"], "model 'vit-b61': no such directory; did you mean 'vit-b16'?"),
    "embedded model": (["--model", "embedded/vit-nan"], "did you mean 'embedded/vit-nano'?"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line(case, capsys):
    args, told = BAD[case]
    assert main([*MODEL, *args]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert told in err


def test_infty_is_asked_for_only_where_it_is(monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *a: None if name == "infty" else find(name, *a))
    assert Settings().peers == ("mezo",)
    with pytest.raises(ZfscaleError, match=r"pip install --no-deps infty==0\.1\.2"):
        Settings(against=("infty",))


def test_the_command_prints_one_json_object(monkeypatch, capsys):
    monkeypatch.setattr(step, "peak_of", lambda name, settings: {"forwards": 10**6}.get(name, 2 * 10**6))
    assert main([*MODEL, "--repeats", "1", "--threads", "1", "--batch-size", "1", "--against", "mezo", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["settings"]["threads"] == 1
    assert found["peak_memory_ratio"] == (2e6 - 100 * 48 * 4) / 1e6


@pytest.mark.parametrize(("name", "fronts"), [("step", 0), ("step_anew", 2)])
def test_a_step_of_a_copy_begins_behind_what_is_frozen(name, fronts, calls, monkeypatch):
    s = Settings(**NANO, trained="copy", copies=3)
    ran: list[int] = []
    monkeypatch.setattr(Front, "run", lambda self, x, run=Front.run: ran.append(len(x)) or run(self, x))
    taken = contestants(s, [name])[name]
    assert isinstance(taken, Step)
    assert taken.network.copies is not None
    assert len(taken.network.copies) == 4
    assert {leaf.name.split(".")[0] for leaf in taken.leaves} == {"copies", "head"}
    assert {leaf.name.split(".")[2] for leaf in taken.leaves if leaf.name.startswith("copies")} == {"2"}
    calls.clear()
    ran.clear()
    taken()
    taken()
    assert (calls["forward"], len(ran)) == (4, fronts)
