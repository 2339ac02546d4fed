"""`zfscale verify` as a user has it: exit status, certificates, the report's line, other kinds of trials and places."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.buckets import bucket
from tests.trial.forks import fork_of
from tests.trial.test_domain_incremental_trials import Text, text  # noqa: F401
from tests.verify.trials import changed, forge, run
from zfscale import report
from zfscale.cli import main
from zfscale.errors import StorageError
from zfscale.results.check import look
from zfscale.results.compact import compact
from zfscale.results.storage import storage
from zfscale.spec import TrialSpec
from zfscale.sweep.driver import forget
from zfscale.verify.results import CANNOT, FAILS, HOLDS, verify


@pytest.fixture(scope="module")
def made(small: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, str]:
    """The results of a forward-only trial and of a first-order one, with their ids."""
    root = tmp_path_factory.mktemp("made") / "r"
    return root, run(root, small.spec("ease", "zo-sgd")), run(root, small.spec("ease", "fo-sgd"))


@pytest.fixture
def root(made: tuple[Path, str, str], tmp_path: Path) -> Path:
    return Path(shutil.copytree(made[0], tmp_path / "r"))


def quiet(root: Any, trials: Any = (), losses: int = 0) -> Any:
    return verify(root, trials, losses, tell=lambda line: None)


def test_the_exit_status_says_how_it_stands(
    root: Path, made: tuple[Path, str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    _, forward_only, first_order = made
    assert main(["verify", str(root)]) == HOLDS
    assert "1 hold, 1 cannot be verified" in capsys.readouterr().out
    assert main(["verify", str(root), forward_only[:6], "--losses", "2"]) == HOLDS
    assert "holds: replay-exact (3 stages), 9 evals equal, rerun-exact (2 steps)" in capsys.readouterr().out
    assert main(["verify", str(root), first_order]) == CANNOT
    assert "fo-sgd is first-order and has no ledger to replay" in capsys.readouterr().out
    assert main(["verify", str(root), "ffffffffffff"]) == CANNOT
    assert main(["verify", str(root / "none")]) == CANNOT
    forge(root, forward_only, "evals", lambda t: changed(t, "value", lambda v: v + 1))
    assert main(["verify", str(root)]) == FAILS
    assert "evals, stage 1, task 1, accuracy: " in capsys.readouterr().out


def test_the_report_says_what_was_verified_of_these_very_rows(root: Path, made: tuple[Path, str, str]) -> None:
    _, forward_only, _ = made
    assert "Verified" not in report.make(root)[0]
    assert main(["verify", str(root)]) == HOLDS
    assert "Verified: 1 hold (1 replay-exact)." in (root / "report.md").read_text()
    assert main(["verify", str(root), "--losses", "1"]) == HOLDS
    assert "Verified: 1 hold (1 replay-exact, 1 rerun-exact)." in (root / "report.md").read_text()
    forge(root, forward_only, "evals", lambda t: changed(t, "value", lambda v: v + 1))
    assert "Verified" not in report.make(root)[0]  # the certificate is of the row before
    assert main(["verify", str(root)]) == FAILS
    assert "Verified: 0 hold; 1 do not hold." in (root / "report.md").read_text()


def test_a_certificate_is_of_the_measures_too(root: Path, made: tuple[Path, str, str]) -> None:
    quiet(root)
    forge(root, made[1], "trials", lambda t: changed(t, "avg_accuracy", lambda v: v + 0.1))
    assert "Verified" not in report.make(root)[0]


def test_storage_that_refuses_is_no_finding(
    root: Path, made: tuple[Path, str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise StorageError("bucket: cannot connect")

    monkeypatch.setattr("zfscale.verify.trial.contents", refuse)
    assert main(["verify", str(root), made[1]]) == CANNOT
    assert not (root / "certificates").exists()


def test_a_trial_that_is_run_again_has_no_certificate(root: Path, made: tuple[Path, str, str]) -> None:
    quiet(root)
    certificate = root / "certificates" / f"{made[1]}.json"
    assert json.loads(certificate.read_text())["holds"]
    (row,) = look(root, only=[made[1]]).rows
    forget(storage(root), [TrialSpec.from_json(row["spec"])])
    assert not certificate.exists()


def test_merged_files_are_verified(root: Path, made: tuple[Path, str, str]) -> None:
    compact(storage(root))
    assert not (root / "trials" / f"{made[1]}.parquet").exists()
    assert quiet(root, losses=1).status == HOLDS


def test_results_of_earlier_versions_are_verified_for_what_they_say(root: Path, made: tuple[Path, str, str]) -> None:
    _, forward_only, _ = made
    forge(root, forward_only, "trials", lambda t: t.drop_columns(["inputs", "weights"]))
    (checked,) = quiet(root, [forward_only]).checked
    assert (checked.holds, checked.replay_exact, checked.weights) == (True, None, None)
    assert [line.partition(":")[0] for line in checked.unchecked] == ["its inputs", "weights after each stage"]
    forge(root, forward_only, "ledger", lambda t: changed(t, "coefficient", lambda c: 1e4 * c))
    assert quiet(root, [forward_only]).status == FAILS


def test_a_bucket_is_verified(small: Any) -> None:
    there = bucket()
    trial_id = run(there, small.spec("ease", "zo-sgd", train__epochs=2, optimizer__queries=2))
    assert quiet(there, losses=2).status == HOLDS
    assert json.loads(there.read(f"certificates/{trial_id}.json") or b"")["rerun_exact"]


def test_on_another_kind_of_machine_evaluations_may_round_otherwise(root: Path, made: tuple[Path, str, str]) -> None:
    _, forward_only, _ = made

    def elsewhere(versions: str) -> str:
        return json.dumps(json.loads(versions) | {"device": "another"})

    forge(root, forward_only, "trials", lambda t: changed(t, "versions", elsewhere))
    forge(root, forward_only, "evals", lambda t: changed(t, "value", lambda v: v + 0.01))
    (checked,) = quiet(root, [forward_only]).checked
    assert (checked.holds, checked.nearness) == (True, 1e-3)
    forge(root, forward_only, "evals", lambda t: changed(t, "value", lambda v: v + 0.1))
    assert quiet(root, [forward_only]).status == FAILS


KINDS = {
    "sequential": ("sequential", "zo-sgd", {}),
    "LoRA": ("sequential", "zo-adam", {"model__train": "lora"}),
    "replay": ("replay", "zo-sgd-sign", {}),
}


@pytest.mark.parametrize("kind", [pytest.param(k, marks=() if k == "sequential" else pytest.mark.long) for k in KINDS])
def test_domains_are_verified(kind: str, text: Text, tmp_path: Path) -> None:  # noqa: F811
    method, optimizer, more = KINDS[kind]
    trial_id = run(tmp_path / "r", text.spec(method, optimizer, **more))
    (checked,) = quiet(tmp_path / "r", losses=2).checked
    assert checked.replay_exact, str(checked)
    assert checked.rerun_exact, str(checked)
    assert f"{trial_id}: holds: replay-exact (2 stages)" in str(checked)


CLASSES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "augmented": ("finetune", "zo-sgd", {"stream__random_crop": 0.8, "stream__random_flip": True}),
    "transfer": ("finetune", "zo-sgd", {"stream__forward_transfer": True}),
    "conserve": ("ease", "zo-sgd-conserve", {}),
    "forward gradient": ("ease", "forward-grad", {}),
    "aper": ("aper", "zo-sgd", {}),
    "memo": ("memo", "zo-sgd", {}),
    "rehearsal": ("rehearsal", "zo-sgd", {}),
    "lwf": ("lwf", "zo-sgd", {}),
    "untrained": ("simplecil", "zo-sgd", {}),
    "bf16": ("ease", "zo-sgd", {"optimizer__eps": 0.1, "train__precision": "bf16"}),
    "parts": ("finetune", "zo-sgd", {"train__micro_batch_size": 3}),
}


@pytest.mark.long
@pytest.mark.parametrize("kind", CLASSES)
def test_all_kinds_of_trials_are_verified(kind: str, small: Any, tmp_path: Path) -> None:
    method, optimizer, more = CLASSES[kind]
    run(tmp_path / "r", small.spec(method, optimizer, **more))
    (checked,) = quiet(tmp_path / "r", losses=3).checked
    assert checked.replay_exact, str(checked)
    assert checked.rerun_exact, str(checked)


def test_a_fork_is_verified_with_the_optimizers_that_took_its_steps(small: Any, tmp_path: Path) -> None:
    """A fork of a fork, whose own results are all there is: two optimizers, and a seed of its own from step 5 on."""
    ids = [run(tmp_path / "a", parent := small.spec("ease", "zo-adam", optimizer__queries=2))]
    child = fork_of(tmp_path / "a", parent, 3, optimizer={"name": "zo-sgd", "lr": 1e-3, "eps": 1e-2})
    ids.append(run(tmp_path / "b", child))
    ids.append(run(tmp_path / "c", fork_of(tmp_path / "b", child, 5, optimizer={"lr": 1e-2}, fork={"seed": 7})))
    shutil.rmtree(tmp_path / "a")
    (checked,) = quiet(tmp_path / "c", losses=6).checked
    assert (checked.row["trial_id"], checked.findings, checked.losses.exact) == (ids[2], [], 6)
    forge(tmp_path / "c", ids[2], "ledger", lambda t: changed(t, "seed", lambda v: v + 1, number=2))
    assert quiet(tmp_path / "c").status == FAILS
