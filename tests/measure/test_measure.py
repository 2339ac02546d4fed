"""A trial's past is measured as it was: against the trial's own rows, and against models that are rebuilt."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from tests.trial.test_contracts import LM, MIM
from tests.trial.test_replay import HYBRID, optimized, run_into
from zfscale import cli
from zfscale.errors import ZfscaleError
from zfscale.measure.measure import measure
from zfscale.measure.point import Point
from zfscale.results.tables import rows
from zfscale.sinks.about import About
from zfscale.sinks.parquet import ParquetSink
from zfscale.spec import TrialSpec
from zfscale.spec.yaml import dump
from zfscale.trial import run as trial
from zfscale.trial.again import one_process
from zfscale.trial.inputs import Inputs
from zfscale.trial.replay import Snapshots, finished, rebuild, steps_taken

ALL = ("accuracy", "loss", "drift")


def ran(root: Path, spec: TrialSpec, small: Any) -> str:
    run_into(root, spec, small)
    return spec.trial_id


def table(root: Path, trial_id: str) -> pd.DataFrame:
    return pd.read_parquet(root / "measures" / f"{trial_id}.parquet")


def evals(root: Path, trial_id: str) -> pd.DataFrame:
    return rows(root, "evals", ["stage", "task", "metric", "value"], trials=[trial_id]).to_pandas()


def at_step(root: Path, trial_id: str, step: int) -> Any:
    """The learner, with the weights that it had after so many steps."""
    row = finished(root, trial_id)
    return rebuild(one_process(row), list(steps_taken(root, row))[:step], Snapshots(root, trial_id))


@pytest.mark.parametrize("method", ["finetune", "ease", "aper", "memo"])
def test_at_the_ends_of_stages_accuracies_are_the_trials_own(method, tmp_path, small):
    name = ran(tmp_path, small.spec(method, "zo-adam"), small)
    measure(tmp_path, name, 1, ["accuracy"])
    found, own = table(tmp_path, name), evals(tmp_path, name)
    last = found[found.step == found.groupby("stage").step.transform("max")]
    both = own.merge(last, on=["stage", "task", "metric"], how="left")
    assert len(both) == len(own) == len(last)
    assert (both.value_x == both.value_y).all()


@pytest.mark.parametrize("method", ["finetune", "memo"])
def test_between_them_it_is_the_model_of_that_step(method, tmp_path, small):
    """Two steps a task: step 3 is in the middle of the second."""
    name = ran(tmp_path, small.spec(method, "zo-adam"), small)
    measure(tmp_path, name, 3, ALL)
    found = table(tmp_path, name)
    found = found[(found.step == 3) & (found.kind != "drift")].set_index(["task", "metric"]).value
    learner = at_step(tmp_path, name, 3)
    first, second = list(Inputs([learner.spec], objectives=False).stream(learner.spec))[:2]
    total, right = 0.0, 0
    for task in (first, second):
        logits = learner.logits(task.test_x, second).detach().float()
        losses = F.cross_entropy(logits, torch.from_numpy(task.test_y), reduction="none")
        hits = int((logits.argmax(1).numpy() == task.test_y).sum())
        assert found[task.index, "accuracy"] == hits / len(task.test_y)
        assert found[task.index, "loss"] == pytest.approx(float(losses.mean()), rel=1e-5)
        total, right = total + float(losses.sum()), right + hits
    images = len(first.test_y) + len(second.test_y)
    assert found[0, "stage_accuracy"] == right / images
    assert found[0, "stage_loss"] == pytest.approx(total / images, rel=1e-5)


def test_drift_is_the_distance_from_the_pretrained_weights(tmp_path, small):
    name = ran(tmp_path, small.spec("finetune", "zo-sgd"), small)
    measure(tmp_path, name, 5, ["drift"])
    found = table(tmp_path, name)
    found = found[found.step == 5].set_index("metric").value
    then = dict(at_step(tmp_path, name, 0).network.encoder.named_parameters())
    now = dict(at_step(tmp_path, name, 5).network.encoder.named_parameters())
    now, then = ({n: p.detach() for n, p in each.items()} for each in (now, then))
    moved = {n: (now[n].double() - then[n].double()).norm() ** 2 for n in then}
    began = {n: then[n].double().norm() ** 2 for n in then}
    assert found["drift"] == pytest.approx(math.sqrt(sum(moved.values()) / sum(began.values())))
    block = [n for n in then if ".layers.0." in n]
    (layer,) = [metric for metric in found.index if metric.endswith("layers.0")]
    assert found[layer] == pytest.approx(math.sqrt(sum(moved[n] for n in block) / sum(began[n] for n in block)))


def test_what_is_frozen_does_not_drift(tmp_path, small):
    name = ran(tmp_path, small.spec("ease", "zo-sgd"), small)
    measure(tmp_path, name, 2, ["drift"])
    assert (table(tmp_path, name).value == 0).all()


def test_the_trial_goes_its_way_whoever_looks(tmp_path, small):
    """Measured at every step, the last accuracies are those of the trial."""
    name = ran(tmp_path, small.spec("ease", "zo-adam"), small)
    measure(tmp_path, name, 1, ALL)
    often = table(tmp_path, name)
    measure(tmp_path, name, 10**6, ALL)
    seldom = table(tmp_path, name)
    both = seldom.merge(often, on=["step", "stage", "task", "metric"])
    assert len(both) == len(seldom)
    assert (both.value_x == both.value_y).all()


def test_a_hybrid_is_looked_at_outside_its_first_order_phases(tmp_path, small):
    spec = optimized(small, "finetune", "zo-sgd", {"first_order": HYBRID}, train__epochs=2)
    name = ran(tmp_path, spec, small)
    measure(tmp_path, name, 1, ["accuracy"])
    assert sorted(set(table(tmp_path, name).step)) == [2, 3, 4, 6, 7, 8, 10, 11, 12]


def test_other_test_data_of_the_same_classes(tmp_path, small, image_folder):
    name = ran(tmp_path, small.spec("aper", "zo-sgd"), small)
    same = dump({"path": str(image_folder), "format": "imagefolder"}, flow=True)
    measure(tmp_path, name, 2, ["accuracy"])
    measure(tmp_path, name, 2, ["accuracy"], same)
    found = table(tmp_path, name)
    own, other = found[found.data.isna()], found[found.data == same]
    both = own.merge(other, on=["step", "stage", "task", "metric"])
    assert len(both) == (own.metric == "accuracy").sum() + (other.metric == "stage_accuracy").sum()
    assert (both.value_x == both.value_y).all()


def test_data_of_other_classes_are_refused(tmp_path, small):
    name = ran(tmp_path, small.spec("finetune", "zo-sgd"), small)
    with pytest.raises(ZfscaleError, match="--data: other classes than the trial's 6, such as"):
        measure(tmp_path, name, 2, ["accuracy"], "glyphs")
    with pytest.raises(ZfscaleError, match=r"--data: stream\.dataset"):
        measure(tmp_path, name, 2, ["accuracy"], "{path: x, form: y}")


def of_domains(root: Path, blocks: dict[str, Any]) -> str:
    train = blocks.get("train", {"epochs": 1, "batch_size": 8})
    spec = TrialSpec.model_validate({**blocks, "optimizer": {"name": "zo-sgd", "lr": 1e-4}, "train": train})
    sink = ParquetSink(About.of(root, "s", spec))
    sink.close(trial.run(spec, *Inputs([spec]).of(spec), sink))
    return spec.trial_id


@pytest.mark.parametrize("blocks", [LM, MIM], ids=["texts", "images"])
def test_domains_are_measured_as_after_a_stage(blocks, tmp_path):
    name = of_domains(tmp_path, blocks)
    measure(tmp_path, name, 1, ["loss", "accuracy"])
    found, own = table(tmp_path, name), evals(tmp_path, name)
    own = own[own.metric.isin(["loss", "stage_loss", "accuracy", "mean_accuracy"])]
    last = found[found.step == found.groupby("stage").step.transform("max")]
    both = own.merge(last, on=["stage", "task", "metric"], how="left")
    assert len(both) == len(own)
    assert (both.value_x == both.value_y).all()
    inside = found[(found.step == 1) & (found.metric == "loss")]
    assert set(inside.task) == {1, 2}
    assert np.isfinite(inside.value).all()


def test_a_domain_that_the_trial_did_not_have(tmp_path):
    name = of_domains(tmp_path, LM)
    measure(tmp_path, name, 1, ["loss"], "{name: again, dataset: reference}")
    measure(tmp_path, name, 1, ["loss"])
    found = table(tmp_path, name)
    own, other = found[found.data.isna() & (found.task == 2)], found[found.data.notna() & (found.task == 3)]
    both = own.merge(other, on=["step", "stage", "metric"])
    assert len(both) == len(other) > 0
    assert (both.value_x == both.value_y).all()


def norm(point: Point) -> Any:
    yield 0, "norm", float(sum(p.norm() ** 2 for p in point.learner.network.parameters()))


def test_a_function_of_ones_own_and_earlier_measures_stay(tmp_path, small, monkeypatch):
    name = ran(tmp_path, small.spec("finetune", "zo-sgd"), small)
    monkeypatch.setitem(sys.modules, "mine", SimpleNamespace(norm=norm))
    measure(tmp_path, name, 2, ["drift"])
    measure(tmp_path, name, 3, ["mine:norm"])
    measure(tmp_path, name, 6, ["drift"])
    found = table(tmp_path, name)
    assert set(found[found.kind == "mine:norm"].step) == {2, 3, 4, 6}
    assert set(found[found.kind == "drift"].step) == {2, 4, 6}


def test_the_picture_and_the_line_that_says_where(tmp_path, small, capsys):
    name = ran(tmp_path, small.spec("finetune", "zo-sgd"), small)
    assert cli.main(["measure", str(tmp_path), name[:6], "--every", "1", "--what", "accuracy, loss,drift"]) == 0
    assert f"trial {name}: measured at 6 steps: " in capsys.readouterr().out
    with Image.open(tmp_path / "measures" / f"{name}.png") as picture:
        assert picture.width > 500


def named_alike(point: Point) -> Any:
    yield 0, "stage_accuracy", 7.0


def test_a_row_of_ones_own_stays_whatever_its_name(tmp_path, small, monkeypatch):
    name = ran(tmp_path, small.spec("finetune", "zo-sgd"), small)
    monkeypatch.setitem(sys.modules, "mine", SimpleNamespace(alike=named_alike))
    measure(tmp_path, name, 2, ["accuracy", "mine:alike"])
    found = table(tmp_path, name)
    assert (found[found.kind == "mine:alike"].value == 7.0).all()
    assert set(found[found.kind == "mine:alike"].step) == {2, 4, 6}


def refusals(root: Path, small: Any) -> dict[str, tuple[Callable[[], Any], str]]:
    def of(spec: TrialSpec, *what: str) -> Callable[[], Any]:
        return lambda: measure(root, ran(root, spec, small), 1, what)

    finetune = small.spec("finetune", "zo-sgd")
    return {
        "no trial": (lambda: measure(root, "0" * 12, 1, ["loss"]), "no finished trial"),
        "first-order": (of(small.spec("finetune", "fo-sgd"), "loss"), "first-order and has no ledger"),
        "name": (of(finetune, "los"), "--what los: unknown; did you mean 'loss'"),
        "module": (of(finetune, "no_such:thing"), "--what no_such:thing: cannot be imported"),
        "function": (of(finetune, "os:getcwd"), "--what os:getcwd: TypeError: "),
        "no steps": (of(small.spec("simplecil", "zo-sgd"), "drift"), "took no step at which to measure drift"),
        "no data": (lambda: measure(root, ran(root, finetune, small), 1, ["loss"], ""), "--data '': names no data"),
    }


@pytest.mark.parametrize("case", ["no trial", "first-order", "name", "module", "function", "no steps", "no data"])
def test_what_cannot_be_measured_is_said(case, tmp_path, small):
    act, message = refusals(tmp_path, small)[case]
    with pytest.raises(ZfscaleError, match=message):
        act()


def test_a_damaged_table_is_not_added_to(tmp_path, small):
    name = ran(tmp_path, small.spec("finetune", "zo-sgd"), small)
    measure(tmp_path, name, 2, ["drift"])
    file = tmp_path / "measures" / f"{name}.parquet"
    data = bytearray(file.read_bytes())
    data[40] ^= 1
    file.write_bytes(data)
    with pytest.raises(ZfscaleError, match=r"damaged; remove it"):
        measure(tmp_path, name, 2, ["loss"])
