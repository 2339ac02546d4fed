"""Replay refuses what is not whole, with the file's name, and writes nothing."""

from __future__ import annotations

import math
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from tests.results.small_results import as_of_earlier_versions
from tests.trial.test_replay import HYBRID, optimized, run_into
from zfscale.errors import ZfscaleError
from zfscale.results.check import look
from zfscale.results.layout import file_of
from zfscale.trial.replay import replay

CHANGES = {
    "steps missing": ("steps", lambda t: None),
    "steps short": ("steps", lambda t: t.slice(0, t.num_rows - 1)),
    "a step in the middle": ("steps", lambda t: pa.concat_tables([t.slice(0, 2), t.slice(3)])),
    "no steps": ("steps", lambda t: t.slice(0, 0)),
    "steps out of order": ("steps", lambda t: t.take(list(range(t.num_rows))[::-1])),
    "ledger missing": ("ledger", lambda t: None),
    "a step without queries": ("ledger", lambda t: t.slice(1)),
    "a query of the last step": ("ledger", lambda t: t.slice(0, t.num_rows - 1)),
    "no queries": ("ledger", lambda t: t.slice(0, 0)),
    "queries doubled": ("ledger", lambda t: pa.concat_tables([t, t])),
    "queries of another step": ("ledger", lambda t: t.set_column(2, "step", pc.add(t["step"], 1))),
    "queries out of order": ("ledger", lambda t: t.take(list(range(t.num_rows))[::-1])),
}


@pytest.fixture(scope="module", params=[{}, {"first_order": HYBRID}], ids=["forward-only", "hybrid"])
def trial(request, tmp_path_factory, small):
    """The results of a trial of 12 steps, of which a hybrid's first two of a task are by backpropagation."""
    spec = optimized(small, "finetune", "zo-sgd", {"queries": 2, **request.param}, train__epochs=2)
    root = tmp_path_factory.mktemp("trial") / "r"
    run_into(root, spec, small)
    return root, spec


def copied(trial, to: Path) -> tuple[Path, str]:
    import shutil

    return Path(shutil.copytree(trial[0], to)), trial[1].trial_id


@pytest.mark.parametrize("earlier", [False, True], ids=["now", "earlier version"])
@pytest.mark.parametrize("change", CHANGES)
def test_a_table_that_is_not_whole_is_refused(change, earlier, trial, tmp_path):
    root, trial_id = copied(trial, tmp_path / "r")
    if earlier:
        as_of_earlier_versions(root)
    table, act = CHANGES[change]
    file = root / file_of(table, trial_id)
    kept = act(pq.ParquetFile(file).read())
    if kept is None:
        file.unlink()
    else:
        pq.write_table(kept, file)
    with pytest.raises(ZfscaleError, match=rf"{table}/{trial_id}\.parquet: .*run the sweep again") as caught:
        replay(root, trial_id, tmp_path / "m")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "m").exists()
    assert look(root).damaged == [trial_id]


def test_results_of_earlier_versions_are_replayed(trial, tmp_path):
    root, trial_id = copied(trial, tmp_path / "r")
    as_of_earlier_versions(root)
    assert replay(root, trial_id, tmp_path / "m") == 12
    assert replay(trial[0], trial_id, tmp_path / "n") == 12
    for file in (tmp_path / "n").iterdir():
        assert (tmp_path / "m" / file.name).read_bytes() == file.read_bytes()


def flipped(data: bytes) -> bytes:
    return data[:-5] + bytes([data[-5] ^ 1]) + data[-4:]


@pytest.mark.parametrize(
    "act",
    [lambda d: d[: len(d) // 2], lambda d: b"", flipped, lambda d: b"text", lambda d: d[:100] + bytes(50) + d[150:]],
)
def test_a_snapshot_that_is_not_whole_is_refused(act, trial, tmp_path):
    root, trial_id = copied(trial, tmp_path / "r")
    if trial[1].optimizer.first_order is None:
        assert not (root / "snapshots").exists()
        return
    file = root / "snapshots" / trial_id / "task-2.safetensors"
    file.write_bytes(act(file.read_bytes()))
    with pytest.raises(ZfscaleError, match=r"task-2\.safetensors: .*snapshot"):
        replay(root, trial_id, tmp_path / "m")


def test_a_torn_snapshot_is_void_on_resuming(tmp_path, small):
    """The phase is taken again, with the same end."""
    from zfscale.training.snapshots import Snapshots
    from zfscale.zo.ledger import Ledger

    spec = optimized(small, "finetune", "zo-sgd", {"first_order": HYBRID}, train__epochs=2)
    ledger, snapshots = tmp_path / "ledger", Snapshots(tmp_path / "r", spec.trial_id)
    whole = small.run(spec, ledger=Ledger(ledger), snapshots=snapshots)
    for task in (1, 3):
        file = tmp_path / "r" / "snapshots" / spec.trial_id / f"task-{task}.safetensors"
        file.write_bytes(flipped(file.read_bytes()))
        assert not snapshots.has(task)
        again = small.run(spec, ledger=Ledger(ledger), snapshots=snapshots)
        assert snapshots.has(task)
        assert again.evals == whole.evals
        assert math.isclose(again.steps[-1].loss, whole.steps[-1].loss)
