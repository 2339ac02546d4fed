"""What trials read is known by its content: the same wherever it lies, another after any change."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from zfscale.data.examples import Examples
from zfscale.models.vit import load_base
from zfscale.streams.domain_incremental import Domains
from zfscale.trial.fingerprints import digest, of_base, of_code, of_data

TOLD: dict[str, Any] = {"check": True, "capture_output": True, "text": True}


def test_a_model_is_the_same_in_another_directory(tiny_vit: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_vit, tmp_path / "moved")
    assert of_base(load_base(str(tmp_path / "moved"))) == of_base(load_base(str(tiny_vit)))


def test_one_bit_of_a_weight_changes_the_base_alone(tiny_vit: Path) -> None:
    base = load_base(str(tiny_vit))
    name = next(iter(base.weights))
    weight = base.weights[name].copy()
    weight.view(np.uint8).reshape(-1)[0] ^= 1
    before, after = of_base(base), of_base(replace(base, weights=base.weights | {name: weight}))
    assert {part for part in before if before[part] != after[part]} == {"base weights"}


def test_other_statistics_change_the_image_processor_alone(tiny_vit: Path) -> None:
    base = load_base(str(tiny_vit))
    before, after = of_base(base), of_base(replace(base, pixels=replace(base.pixels, mean=(0.4,))))
    assert {part for part in before if before[part] != after[part]} == {"image processor"}


@pytest.mark.parametrize(("field", "part"), [("train_x", "training data"), ("test_y", "test data")])
def test_one_image_or_label_changes_its_split_alone(field: str, part: str, small: Any) -> None:
    values = getattr(small.data, field).copy()
    values.flat[0] += 1
    before, after = of_data(small.data), of_data(replace(small.data, **{field: values}))
    assert {key for key in before if before[key] != after[key]} == {part}


def test_a_domain_is_named() -> None:
    x = np.arange(6, dtype=np.uint8).reshape(2, 3)
    one = Examples("news", x, x, x, x, 2.0)
    then, now = (of_data(Domains([one, replace(one, name="code", held_out_x=y)], one)) for y in (x, x + 1))
    assert {key for key in then if then[key] != now[key]} == {"test data of code"}


def test_an_upstream_of_a_domains_name_hides_nothing() -> None:
    x = np.arange(6, dtype=np.uint8).reshape(2, 3)
    one = Examples("news", x, x, x, x, 2.0)
    then, now = (of_data(Domains([replace(one, train_x=y)], one)) for y in (x, x + 1))
    assert {key for key in then if then[key] != now[key]} == {"training data of news"}


def test_a_set_has_one_hash_in_every_process() -> None:
    """The order of a set of texts is drawn anew by every process."""
    code = "from zfscale.trial.fingerprints import digest; print(digest({'a', 'b', 'c', 'd', 'e'}))"
    ran = (subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONHASHSEED": s}, **TOLD) for s in "12")
    one, other = (done.stdout for done in ran)
    assert one == other


def test_code_is_the_same_with_other_comments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    file = tmp_path / "printed_objective.py"
    file.write_text("def mine(a, b):\n    return a - b\n")
    then = of_code("printed_objective:mine")
    file.write_text("# Mine.\n\ndef mine(a, b):\n    return (a - b)  # the difference\n")
    assert of_code("printed_objective:mine") == then
    file.write_text("def mine(a, b):\n    return b - a\n")
    assert of_code("printed_objective:mine") != then


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (["ab", "c"], ["a", "bc"]),
        (np.zeros(4), np.zeros((2, 2))),
        (np.zeros(2, np.int64), np.zeros(2)),
        ({"a": None}, {}),
        (b"1", "1"),
        (torch.zeros(2), torch.ones(2)),
        ({1: "x"}, {"1": "x"}),
    ],
)
def test_what_differs_has_another_hash(one: Any, other: Any) -> None:
    assert digest(one) != digest(other)
    assert digest(one) == digest(one)
