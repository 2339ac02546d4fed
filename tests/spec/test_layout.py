"""What cannot be divided over ranks is told before anything starts: stage, format, workers."""

from __future__ import annotations

from pathlib import Path

import pytest

from zfscale import spec
from zfscale.errors import SpecError

DOMAINS = """\
name: ranks
model: {name: embedded/lm-nano}
stream: {kind: domain_incremental, domains: [{name: python, dataset: python}], block_size: 64}
method: {name: sequential}
train: {epochs: 1, batch_size: 8}
"""
CLASSES = """\
name: ranks
model: {name: embedded/vit-nano}
stream: {dataset: mnist5k, tasks: 5}
method: {name: ease}
train: {epochs: 1, batch_size: 8}
"""


def load(path: Path, more: str, base: str = DOMAINS) -> spec.Sweep:
    (path / "x.yaml").write_text(base + more)
    return spec.load(path / "x.yaml")


@pytest.mark.parametrize(
    ("optimizer", "engine", "resources"),
    [
        ("{name: zo-sgd, lr: 1e-3}", "{stage: 3}", "{workers: 2}"),
        ("{name: zo-adam-conserve, lr: 1e-3}", "{stage: 3, offload: cpu}", "{workers: 4}"),
        ("{name: fo-adamw, lr: 1e-3}", "{stage: 2, dtype: bf16, offload: cpu}", "{workers: 8}"),
        ("{name: fo-sgd, lr: 1e-3}", "{stage: 1, dtype: fp16}", "{workers: 2, gpus: 1}"),
        ("{name: forward-grad, lr: 1e-3}", "{stage: 0}", "{workers: 2}"),
    ],
)
def test_what_goes_together(tmp_path, optimizer, engine, resources):
    sweep = load(tmp_path, f"optimizer: {optimizer}\nengine: {engine}\nresources: {resources}\n")
    assert len(sweep.trials) == 1


@pytest.mark.parametrize(
    ("optimizer", "more", "says"),
    [
        ("fo-adam", "engine: {stage: 3}", "engine.stage: 3 cannot be used by fo-adam; allowed: 0, 1, 2"),
        ("zo-sgd", "engine: {stage: 2}", "engine.stage: 2 cannot be used by zo-sgd; allowed: 0, 3"),
        ("forward-grad", "engine: {stage: 3}", "3 cannot be used by forward-grad; allowed: 0"),
        (
            "zo-sgd, first_order: {name: fo-sgd, lr: 1, epochs: 1}",
            "engine: {stage: 3}",
            "3 cannot be used by zo-sgd with a first-order phase; allowed: 0",
        ),
        ("zo-sgd", "engine: {stage: 4}", "engine.stage: expected an integer"),
        ("zo-sgd", "engine: {zero: 3}", "engine.zero: unknown key; allowed: dtype, offload, stage"),
        ("fo-sgd", "engine: {offload: cpu}", "engine.offload: stage 0 divides nothing"),
        ("zo-sgd", "engine: {stage: 3, dtype: bf16}", "'bf16' is for fo- optimizers at engine.stage 1 or 2"),
        ("fo-sgd", "engine: {dtype: bf16}", "engine.dtype: 'bf16' is for fo- optimizers at engine.stage 1 or 2"),
        ("fo-sgd", "engine: {stage: 1, dtype: fp16}", "fp16 on GPUs only, and resources.gpus is 0"),
        ("fo-sgd", "resources: {workers: 3}", "3 does not divide train.batch_size 8; allowed: 1, 2, 4, 8"),
        ("zo-sgd", "resources: {workers: 16}", "resources.workers: 16 does not divide train.batch_size 8"),
        ("zo-sgd", "resources: {workers: 2, gpus: 0.5}", "0.5 of a GPU for each of 2 workers; allowed: whole GPUs"),
    ],
)
def test_what_does_not(tmp_path, optimizer, more, says):
    with pytest.raises(SpecError) as caught:
        load(tmp_path, f"optimizer: {{name: {optimizer}, lr: 1}}\n{more}\n")
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("optimizer", "train", "resources", "says"),
    [
        ("zo-sgd, queries: 2", "query", 4, None),
        ("zo-sgd, queries: 2, sides: 1", "query", 3, None),  # a batch of 8 need not be divided
        ("zo-sgd, queries: 2, sides: 1", "query", 4, "resources.workers: 4 for the 3 forwards of an estimate"),
        ("zo-sgd", "query", 3, "3 for the 2 forwards of an estimate, so that some would idle; allowed: 1 to 2"),
        ("forward-grad, queries: 2", "query", 3, "3 for the 2 forwards of an estimate"),
        ("fo-sgd", "query", 1, "train.parallel: fo-sgd has no queries to share; allowed: data"),
        ("zo-sgd", "queries", 2, "train.parallel: unknown value 'queries'"),
    ],
)
def test_query_parallel(tmp_path, optimizer, train, resources, says):
    more = f"optimizer: {{name: {optimizer}, lr: 1e-3}}\nresources: {{workers: {resources}}}\n"
    base = DOMAINS.replace("batch_size: 8", f"batch_size: 8, parallel: {train}")
    if says is None:
        assert load(tmp_path, more, base).trials[0].train.parallel == "query"
    else:
        with pytest.raises(SpecError) as caught:
            load(tmp_path, more, base)
        assert says in str(caught.value)


def test_query_parallel_shares_no_weights(tmp_path):
    base = DOMAINS.replace("batch_size: 8", "batch_size: 8, parallel: query")
    with pytest.raises(SpecError, match=r"train.parallel: at engine.stage 3 all ranks gather the same weights"):
        load(tmp_path, "optimizer: {name: zo-sgd, lr: 1}\nengine: {stage: 3}\n", base)


def test_one_format_is_said_once(tmp_path):
    base = DOMAINS.replace("batch_size: 8", "batch_size: 8, precision: bf16-mixed")
    with pytest.raises(SpecError, match=r"engine.dtype: 'bf16' and train.precision 'bf16-mixed' both say"):
        load(tmp_path, "optimizer: {name: fo-sgd, lr: 1}\nengine: {stage: 1, dtype: bf16}\n", base)


@pytest.mark.parametrize(
    ("optimizer", "engine", "says"),
    [
        ("zo-sgd", "{stage: 3}", "the methods of class_incremental add to them; allowed: 0"),
        ("fo-sgd", "{stage: 1, dtype: bf16}", "has heads that compute in fp32"),
    ],
)
def test_class_incremental_models_grow(tmp_path, optimizer, engine, says):
    with pytest.raises(SpecError) as caught:
        load(tmp_path, f"optimizer: {{name: {optimizer}, lr: 1}}\nengine: {engine}\n", CLASSES)
    assert says in str(caught.value)


def test_the_mistake_is_cited_where_the_space_makes_it(tmp_path):
    more = "optimizer: {lr: 1}\nspace: {engine.stage: {grid: [0, 3]}, optimizer.name: {grid: [zo-sgd, fo-sgd]}}\n"
    with pytest.raises(SpecError, match=r"x.yaml:7: space.engine.stage.grid\[1\]: 3 cannot be used by fo-sgd"):
        load(tmp_path, more)


def test_an_engine_of_defaults_changes_no_id(tmp_path):
    plain = load(tmp_path, "optimizer: {name: zo-sgd, lr: 1}\n").trials[0]
    said = load(tmp_path, "optimizer: {name: zo-sgd, lr: 1}\nengine: {stage: 0, dtype: fp32, offload: none}\n").trials[
        0
    ]
    other = load(tmp_path, "optimizer: {name: zo-sgd, lr: 1}\nengine: {stage: 3}\n").trials[0]
    assert plain.trial_id == said.trial_id != other.trial_id
    assert other.leaves()["engine.stage"] == 3
