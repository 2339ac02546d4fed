"""Whatever is changed of a trial's results or inputs is found, and named."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from tests.verify.trials import changed, forge, run
from zfscale.results.layout import file_of
from zfscale.results.storage import storage
from zfscale.spec import TrialSpec
from zfscale.training.tensors import load, save
from zfscale.verify.results import FAILS, HOLDS, Verified, verify

OBJECTIVE = (
    "import torch.nn.functional as F\n\n\ndef mine(out, labels):\n    return {} * F.cross_entropy(out, labels)\n"
)
HYBRID = {"first_order": {"name": "fo-sgd", "lr": 0.1, "epochs": 1}}


@dataclass(frozen=True)
class Made:
    """Trials, and the directories of what they read."""

    root: Path
    vit: Path
    images: Path
    code: Path
    forward_only: str
    hybrid: str


@pytest.fixture(scope="module")
def made(tiny_vit: Path, image_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    """A forward-only trial with an objective of the user's own, and a hybrid."""
    place = tmp_path_factory.mktemp("made")
    vit, images = shutil.copytree(tiny_vit, place / "vit"), shutil.copytree(image_folder, place / "images")
    code = place / "tampered_objective.py"
    code.write_text(OBJECTIVE.format(1.0))

    def spec(objective: str, optimizer: dict[str, Any], epochs: int) -> TrialSpec:
        return TrialSpec.model_validate(
            {
                "model": {"name": str(vit)},
                "stream": {"dataset": {"path": str(images), "format": "imagefolder"}, "tasks": 3},
                "method": {"name": "ease", "bottleneck": 4},
                "optimizer": {"name": "zo-sgd", "lr": 1e-3, "queries": 2, "schedule": "cosine", **optimizer},
                "train": {"epochs": epochs, "batch_size": 8, "objective": objective},
            }
        )

    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(place))
        root = place / "r"
        first = run(root, spec("tampered_objective:mine", {}, 1))
        yield Made(root, vit, images, code, first, run(root, spec("cross_entropy", HYBRID, 2)))


@contextmanager
def kept(*files: Path) -> Iterator[None]:
    """Files are as they were before, in the end."""
    before = {file: file.read_bytes() for file in files}
    yield
    for file, data in before.items():
        file.write_bytes(data)


def look(root: Path, trial_id: str, losses: int = 0) -> Verified:
    return verify(root, [trial_id], losses, tell=lambda line: None)


def findings(verified: Verified) -> str:
    assert verified.status == FAILS
    return "\n".join(str(finding) for checked in verified.checked for finding in checked.findings)


def test_nothing_is_found_where_nothing_was_changed(made: Made) -> None:
    verified = verify(made.root, losses=3, tell=lambda line: None)
    assert verified.status == HOLDS
    assert [(c.weights, c.replay_exact, c.rerun_exact) for c in verified.checked] == [(3, True, True)] * 2
    assert {c.losses and c.losses.sampled for c in verified.checked} == {3}
    certificate = json.loads((made.root / "certificates" / f"{made.hybrid}.json").read_text())
    assert (certificate["holds"], certificate["evals"]) == (True, {"agree": 9, "tolerance": 0.0})


def added(rows: pa.Table) -> pa.Table:
    return pa.concat_tables([rows, changed(rows.slice(0, 1), "metric", lambda _: "accuracy2")])


def kept_still(rows: pa.Table) -> pa.Table:
    """Both queries of the first step say that theta was kept."""
    return changed(changed(rows, "accepted", lambda _: 0, 0), "accepted", lambda _: 0, 1)


def other_hash(weights: str) -> str:
    return weights.replace(weights[3], "1" if weights[3] == "0" else "0")


Forgery = tuple[str, Callable[[pa.Table], pa.Table], str]  # the table, what is changed, and how that is told
FORGED: dict[str, Forgery] = {
    "a coefficient": ("ledger", lambda t: changed(t, "coefficient", lambda c: 2 * c, 5), "ledger, task 2: other wei"),
    "a seed": ("ledger", lambda t: changed(t, "seed", lambda s: s ^ 1, 5), "task 2, step 0, query 1, seed: "),
    "accepted": ("ledger", kept_still, "ledger, task 1: other weights after stage 1"),
    "a rate": ("steps", lambda t: changed(t, "lr", lambda lr: lr * 1.001, 3), "steps, task 2, step 1, lr: "),
    "an accuracy": ("evals", lambda t: changed(t, "value", lambda v: v + 0.01, 2), "stage 2, task 1, accuracy: "),
    "a row of evals less": ("evals", lambda t: t.slice(0, t.num_rows - 1), "stage 3, task 0, .*: the row is missing"),
    "a row of evals more": ("evals", added, "evals, stage 1, task 1, accuracy2: .* does not measure"),
    "a measure": ("trials", lambda t: changed(t, "avg_accuracy", lambda a: a + 0.1), "trials, avg_accuracy: "),
    "a hash of weights": ("trials", lambda t: changed(t, "weights", other_hash), "task 1: other weights"),
    "a spec": ("trials", lambda t: changed(t, "spec", lambda s: s.replace("0.001", "0.002")), "trials, spec: "),
}


@pytest.mark.parametrize("forgery", FORGED)
def test_what_was_forged_with_all_checksums_is_found(forgery: str, made: Made, tmp_path: Path) -> None:
    table, change, told = FORGED[forgery]
    root = Path(shutil.copytree(made.root, tmp_path / "r"))
    forge(root, made.forward_only, table, change)
    found = findings(look(root, made.forward_only))
    assert re.search(told, found), found


@pytest.mark.parametrize("table", ["ledger", "evals", "steps", "trials"])
def test_one_bit_of_a_file_is_found(table: str, made: Made, tmp_path: Path) -> None:
    root = Path(shutil.copytree(made.root, tmp_path / "r"))
    file = root / file_of(table, made.forward_only)
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 4
    file.write_bytes(data)
    assert f"{table}/{made.forward_only}.parquet: changed" in findings(look(root, made.forward_only))


def test_a_loss_is_found_by_measuring_it_again(made: Made, tmp_path: Path) -> None:
    """No weight depends on it."""
    root = Path(shutil.copytree(made.root, tmp_path / "r"))
    forge(root, made.forward_only, "steps", lambda t: changed(t, "loss", lambda loss: loss * 1.01))
    assert look(root, made.forward_only).status == HOLDS
    assert "steps, task 1, step 0, loss: " in findings(look(root, made.forward_only, losses=2))


def test_a_snapshot_with_a_checksum_of_its_own_is_found(made: Made, tmp_path: Path) -> None:
    root = Path(shutil.copytree(made.root, tmp_path / "r"))
    name = f"snapshots/{made.hybrid}/task-2.safetensors"
    snapshot = load(storage(root), name)
    assert snapshot is not None
    tensors = {key: value.clone() for key, value in snapshot.tensors.items()}
    next(iter(tensors.values())).view(-1)[0] += 1
    with storage(root).writing(name) as path:
        save(tensors, path)
    assert "ledger, task 2: other weights after stage 2" in findings(look(root, made.hybrid))
    (root / name).write_bytes((root / name).read_bytes()[:-1])
    assert "task-2.safetensors" in findings(look(root, made.hybrid))


def test_another_base_weight_is_found(made: Made) -> None:
    file = made.vit / "model.safetensors"
    with kept(file):
        weights = load_file(file)
        next(iter(weights.values())).view(torch.uint8).view(-1)[0] ^= 1
        save_file(weights, file, metadata={"format": "pt"})
        assert findings(look(made.root, made.hybrid)).startswith("base weights: changed since")


def test_another_image_processor_is_found(made: Made) -> None:
    file = made.vit / "preprocessor_config.json"
    file.write_text('{"image_mean": [0.4], "image_std": [0.5]}')
    try:
        assert findings(look(made.root, made.hybrid)).startswith("image processor: changed since")
    finally:
        file.unlink()


@pytest.mark.parametrize("split", ["test", "training"])
def test_one_pixel_of_an_image_is_found(split: str, made: Made) -> None:
    """Which of the files are test images follows from their names, so one after the other is tried."""
    seen = set()
    for file in sorted((made.images / "class3").iterdir()):
        with kept(file):
            pixels = np.asarray(Image.open(file)).copy()
            middle = len(pixels) // 2, len(pixels[0]) // 2  # nothing of the middle is cut off for the model
            pixels[middle] = 255 - pixels[middle]
            Image.fromarray(pixels).save(file)
            seen.add(findings(look(made.root, made.hybrid)).partition(":")[0])
    assert f"{split} data" in seen


def test_an_objective_that_was_edited_is_found(made: Made) -> None:
    with kept(made.code):
        made.code.write_text(OBJECTIVE.format(2.0))
        assert findings(look(made.root, made.forward_only)).startswith("code of tampered_objective:mine: changed since")
