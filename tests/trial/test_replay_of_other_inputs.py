"""A trial is replayed and measured with what it was made of, or not at all."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.conftest import sweep_file
from tests.sweep.test_worker_stops import Alone, to_the_end
from zfscale import spec
from zfscale.measure.measure import measure
from zfscale.results.inputs import OtherInputs
from zfscale.results.missing import root
from zfscale.trial.replay import replay


def changed(image: Path) -> None:
    """The same picture, upside down."""
    Image.fromarray(np.flipud(np.asarray(Image.open(image)))).save(image)


def test_data_that_changed_since_are_refused_where_they_decide(
    tmp_path: Path, tiny_vit: Path, image_folder: Path
) -> None:
    mine = tmp_path / "images"
    for folder in image_folder.iterdir():
        for i, image in enumerate(sorted(folder.iterdir())):
            to = mine / ("train" if i < 8 else "test") / folder.name
            to.mkdir(parents=True, exist_ok=True)
            shutil.copy(image, to)
    blocks = {"space": {}, "seed": 1, "optimizer": {"name": "zo-sgd", "lr": 1e-3}}
    sweep = spec.load(sweep_file(tmp_path / "s.yaml", tiny_vit, mine, **blocks))
    there, trial_id = root(sweep), sweep.trials[0].trial_id
    to_the_end(Alone(sweep, judged=False))
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
