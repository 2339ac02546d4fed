"""The JSON Schema that editors use agrees with what `load` accepts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema
import pytest

from zfscale.spec import json_schema, load
from zfscale.spec.yaml import parse

EXAMPLE = """\
name: vit_classil
model:     {name: embedded/vit-nano}            # or any Hugging Face id, or a local directory
stream:    {kind: class_incremental, dataset: mnist5k, tasks: 5, class_order_seed: 1993}
method:    {name: ease}
optimizer: {name: zo-sgd, lr: 1e-3, eps: 1e-3, queries: 1, noise: rademacher}
train:     {epochs: 5, batch_size: 32, precision: fp32}
seed: 0
space:
  method.name:    {grid: [simplecil, aper, ease]}
  optimizer.name: {grid: [fo-sgd, fo-adam, zo-sgd, zo-sgd-sign, zo-sgd-conserve, zo-adam, zo-adam-sign,
                          zo-adam-conserve, forward-grad]}
  optimizer.lr:   {loguniform: [1e-5, 1e-1]}    # also: choice, uniform, randint, quniform
  seed:           {grid: [0, 1, 2]}
search:    {samples: 1, algorithm: random, metric: avg_accuracy, mode: max, scheduler: none}
resources: {cpus: 1, gpus: 0, workers: 1, max_concurrent: null}
output:    {dir: results, wandb: {mode: offline, project: zfscale}}
"""


@pytest.fixture(scope="module")
def validator() -> Any:
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def example(old: str = "", new: str = "") -> Any:
    assert old in EXAMPLE
    return parse(EXAMPLE.replace(old, new, 1), str)[0]


def test_the_example_of_the_design_is_valid_everywhere(tmp_path: Path, validator: Any) -> None:
    validator.validate(example())
    (tmp_path / "x.yaml").write_text(EXAMPLE)
    assert len(load(tmp_path / "x.yaml").trials) == (1 + 2 * 9) * 3  # simplecil has nothing to train: it is run once


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("lr: 1e-3, ", ""),
        ("method:    {name: ease}", ""),
        ("dataset: mnist5k", "dataset: {path: data, format: imagefolder}"),
        ("method.name: ", "method: "),
    ],
)
def test_what_the_space_may_supply_is_not_required(validator: Any, old: str, new: str) -> None:
    assert validator.is_valid(example(old, new))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("lr: 1e-3", "rl: 1e-3"),
        ("lr: 1e-3", "lr: fast"),
        ("name: zo-sgd", "name: zo-sdg"),
        ("train: ", "trian: "),
        ("optimizer.lr: ", "optimizer.rl: "),
        ("loguniform", "logunifrom"),
        ("grid: [0, 1, 2]", "grid: []"),
        ("[1e-5, 1e-1]", "[1e-5]"),
        ("mode: offline", "mode: of"),
        ("name: vit_classil", ""),
    ],
)
def test_a_misspelling_is_refused(validator: Any, old: str, new: str) -> None:
    assert not validator.is_valid(example(old, new))


def test_every_key_is_documented() -> None:
    def undocumented(node: Any, path: str) -> list[str]:
        found = []
        for key, value in node.get("properties", {}).items():
            found += [] if "description" in value or "$ref" in value or path == "space" else [f"{path}.{key}"]
        for name, inner in node.get("$defs", {}).items():
            found += undocumented(inner, name)
        return found

    assert undocumented(json_schema(), "") == []
