"""A trial is replayed and measured with what it was made of, or not at all."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.conftest import sweep_file
from tests.sweep.test_worker_stops import Alone, to_the_end
from zfscale import spec
from zfscale.measure.measure import measure
from zfscale.results.inputs import OtherInputs
from zfscale.results.measures import kept
from zfscale.results.missing import root
from zfscale.results.tables import rows
from zfscale.trial.replay import replay


def changed(image: Path) -> None:
    """The same picture, upside down."""
    Image.fromarray(np.flipud(np.asarray(Image.open(image)))).save(image)


MINE = """
from zfscale.methods.catalogue import Method
from zfscale.methods.finetune import Finetune


class Mine(Finetune):
    facts = Method("a_method_that_changes:Mine", "class_incremental", "all")
"""


def ended(
    tmp_path: Path, tiny_vit: Path, image_folder: Path, validation: float | None = None, **blocks: Any
) -> tuple[spec.Sweep, Path]:
    """A sweep whose one trial has ended, and its images."""
    mine = tmp_path / "images"
    for folder in image_folder.iterdir():
        for i, image in enumerate(sorted(folder.iterdir())):
            to = mine / ("train" if i < 8 else "test") / folder.name
            to.mkdir(parents=True, exist_ok=True)
            shutil.copy(image, to)
    stream = {"dataset": {"path": str(mine), "format": "imagefolder"}, "tasks": 3, "validation": validation}
    blocks = {"space": {}, "seed": 1, "optimizer": {"name": "zo-sgd", "lr": 1e-3}, "stream": stream} | blocks
    sweep = spec.load(sweep_file(tmp_path / "s.yaml", tiny_vit, mine, **blocks))
    to_the_end(Alone(sweep, judged=False))
    return sweep, mine


def test_data_that_changed_since_are_refused_where_they_decide(
    tmp_path: Path, tiny_vit: Path, image_folder: Path
) -> None:
    sweep, mine = ended(tmp_path, tiny_vit, image_folder)
    there, trial_id = root(sweep), sweep.trials[0].trial_id
    replay(there, trial_id, tmp_path / "before")
    train, test = (sorted((mine / split).rglob("*.png"))[0] for split in ("train", "test"))

    changed(test)
    replay(there, trial_id, tmp_path / "after")
    for file in (tmp_path / "before").iterdir():
        assert (tmp_path / "after" / file.name).read_bytes() == file.read_bytes()
    told = rf"trial {trial_id}: test data changed since: \w{{12}} then, \w{{12}} now \(SHA-256\); put back"
    with pytest.raises(OtherInputs, match=told):
        measure(there, trial_id, 1, ["accuracy"])
    changed(test)
    measure(there, trial_id, 1, ["accuracy"])

    changed(train)
    for act in (lambda: replay(there, trial_id, tmp_path / "m"), lambda: measure(there, trial_id, 1, ["drift"])):
        with pytest.raises(OtherInputs, match="training data changed since"):
            act()
    assert not (tmp_path / "m").exists()


def test_test_data_may_differ_where_validation_stands_for_them(
    tmp_path: Path, tiny_vit: Path, image_folder: Path
) -> None:
    sweep, mine = ended(tmp_path, tiny_vit, image_folder, validation=0.25)
    there, trial_id = root(sweep), sweep.trials[0].trial_id
    changed(sorted((mine / "test").rglob("*.png"))[0])
    measure(there, trial_id, 1, ["accuracy"])
    measured = {(row.stage, row.task, row.metric): row.value for row in kept(there, trial_id)}
    own = rows(there, "evals", ["stage", "task", "metric", "value"]).to_pylist()
    assert measured == {(row["stage"], row["task"], row["metric"]): row["value"] for row in own}


def test_a_method_of_the_users_own_that_changed_is_refused(
    tmp_path: Path, tiny_vit: Path, image_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = tmp_path / "a_method_that_changes.py"
    module.write_text(MINE)
    monkeypatch.syspath_prepend(str(tmp_path))
    sweep, _ = ended(tmp_path, tiny_vit, image_folder, method={"name": "a_method_that_changes:Mine"})
    there, trial_id = root(sweep), sweep.trials[0].trial_id
    replay(there, trial_id, tmp_path / "m")
    module.write_text(MINE + "# a comment decides nothing\n")
    replay(there, trial_id, tmp_path / "m")
    module.write_text(MINE + "DECIDES = 1\n")
    with pytest.raises(OtherInputs, match="code of a_method_that_changes:Mine changed since"):
        replay(there, trial_id, tmp_path / "m")
