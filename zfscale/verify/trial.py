"""One trial: what it read, its replay, and whatever of its tables the replay says again."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import pyarrow as pa

from zfscale.errors import StorageError, ZfscaleError
from zfscale.methods.base import FeatureCache
from zfscale.methods.old_loss import METRIC
from zfscale.models.precision import PRECISIONS
from zfscale.recording import Recording
from zfscale.records import Status
from zfscale.results.check import contents
from zfscale.results.inputs import Known, as_json, from_json
from zfscale.results.layout import EVALS, SNAPSHOTS, STEPS, TRIALS
from zfscale.results.reading import DamagedFile
from zfscale.results.storage import Storage
from zfscale.results.tables import versions
from zfscale.spec import TrialSpec
from zfscale.training.snapshots import Snapshots
from zfscale.trial.again import Again, Lacking, one_process, taken, threads_of, walk
from zfscale.trial.alone import accuracy_alone
from zfscale.trial.inputs import Inputs, keys_of
from zfscale.verify import sample, tables
from zfscale.verify.checked import Checked
from zfscale.verify.finding import Finding, told
from zfscale.verify.machine import Machine
from zfscale.zo.exact import ARITHMETIC

OLD_LOSS = METRIC.partition("{")[0]


class Read(NamedTuple):
    """What trials are verified with: where they lie, and what they read.

    Args:
        there: The results.
        inputs: Models and data.
        known: Their content hashes.
        caches: Threads -> what pretrained models alone decide.
        sampled: How many steps of a trial are measured again.
    """

    there: Storage
    inputs: Inputs
    known: Known
    caches: dict[str, FeatureCache]
    sampled: int


def why_not(row: dict[str, Any]) -> str:
    """Why a trial has nothing to verify; "" where it has."""
    spec = TrialSpec.from_json(row["spec"])
    if row["status"] == Status.FAILED:
        return "it failed"
    if spec.trains and spec.optimizing.first_order:
        return f"{spec.optimizer.name} is first-order and has no ledger to replay"
    if versions(row["versions"]).get("arithmetic") != str(ARITHMETIC):
        return "of a version with other noise"
    return ""


def check(row: dict[str, Any], read: Read) -> Checked:
    """Verify a trial that has something to be verified, given its whole row in `trials`."""
    found = Checked(row["trial_id"], row)
    spec = TrialSpec.from_json(row["spec"])
    if spec.trial_id != row["trial_id"]:
        found.findings.append(Finding(TRIALS, "spec", f"it is that of trial {spec.trial_id}"))
    _inputs(found, spec, read)
    if found.findings:
        found.unchecked.append("it was not replayed: that would be another trial")
        return found
    try:
        with threads_of(row):
            _replayed(found, spec, contents(read.there, row), read)
    except DamagedFile as damage:
        found.findings.append(Finding(damage.fault.file, "", damage.fault.problem))
    except Lacking as error:
        found.findings.append(Finding(STEPS, "", str(error)))
    except StorageError:
        raise
    except ZfscaleError as error:
        found.findings.append(Finding(SNAPSHOTS if spec.hybrid else TRIALS, "", str(error)))
    return found


def _inputs(found: Checked, spec: TrialSpec, read: Read) -> None:
    """Compare what the trial has read with what was read now."""
    assert found.row is not None
    then, found.inputs = from_json(found.row["inputs"]), from_json(as_json(keys_of(spec), read.known))
    if not then:
        found.unchecked.append("its inputs: an earlier version did not record them")
    for part in sorted(then.keys() | found.inputs.keys() if then else ()):
        if then.get(part) != found.inputs.get(part):
            found.findings.append(Finding(part, "", f"changed since: {told(then.get(part), found.inputs.get(part))}"))


def _replayed(found: Checked, spec: TrialSpec, recorded: dict[str, pa.Table], read: Read) -> None:
    """Walk the trial again, and compare."""
    row = found.row
    assert row is not None
    low = PRECISIONS[spec.train.precision].compute.itemsize < 4
    machine, past, said = Machine.of(row, low), taken(read.there, row), Recording()
    journal = Again(
        said,
        past,
        Snapshots(read.there, spec.trial_id),
        samples=sample.chosen(past, read.sampled),
        stopped=row["status"] == Status.STOPPED,
    )
    measured, threads = dict[str, Any](), versions(row["versions"]).get("threads", "")
    cache = None if row["micro_batch"] else read.caches.setdefault(threads, {})
    for report in walk(row, journal, read.inputs, cache):
        measured = report.measures
    then, now = tables.recorded(recorded[EVALS]), tables.witnessed(said)
    transfer = tables.transfer(then)
    _alone(found, then, now, read)
    _inside_first_order(found, spec, then, now)
    found.findings += tables.rates(spec, said.steps, recorded[STEPS])
    found.findings += tables.seeds(spec, said.steps, said.queries)
    changed = list(_weights(found, journal, spec, machine))
    found.findings += changed
    found.findings += tables.evals(then, now, machine, _stage_of(changed))
    if not changed:
        found.findings += tables.measures(row, measured | transfer, machine)
    found.evals, found.nearness = len(then), 0.0 if machine.same else machine.near
    if read.sampled:
        near = sample.tolerance(machine, low, bool(row["bytes_sent"]))
        found.losses, apart = sample.compared(spec, journal.measures, near)
        found.findings += apart


def _weights(found: Checked, journal: Again, spec: TrialSpec, machine: Machine) -> list[Finding]:
    assert found.row is not None
    if found.row["weights"] is None:
        found.unchecked.append("weights after each stage: an earlier version did not record them")
        return []
    found.weights = len(journal.weights)
    other = list(tables.weights(found.row["weights"], journal.weights, spec.hybrid))
    hint = "" if machine.same else f"; the machine is another one: {machine}"
    return [one._replace(problem=one.problem + hint) for one in other]


def _stage_of(changed: list[Finding]) -> float:
    """The stage from which on evaluations follow from other weights; infinity where there is none."""
    stages = [float(one.place.rpartition(" ")[2]) for one in changed if one.place.startswith("task ")]
    return min(stages, default=math.inf)


def _alone(found: Checked, then: tables.Evals, now: tables.Evals, read: Read) -> None:
    """The forward transfer's references are no part of the ledger: they are trained again, or left out."""
    rows = [key for key in then if key[2] == tables.ALONE]
    if not rows:
        return
    if not read.sampled:
        found.unchecked.append(f"{len(rows)} evals of models that are trained alone; --losses trains them again")
        for key in rows:
            del then[key]
        return
    one = one_process(found.row or {})
    stream, stage = read.inputs.stream(one), max(key[0] for key in now)
    for task in list(stream)[1:]:
        now[stage, task.index, tables.ALONE] = accuracy_alone(one, read.inputs.of(one)[0], task, stream)


def _inside_first_order(found: Checked, spec: TrialSpec, then: tables.Evals, now: tables.Evals) -> None:
    """Of a hybrid's first-order phases only the ends are kept, so what was looked at inside is not measured again."""
    inside = [key for key in then if key[2].startswith(OLD_LOSS) and key not in now] if spec.hybrid else []
    for key in inside:
        del then[key]
    if inside:
        found.unchecked.append(f"{len(inside)} evals inside first-order phases, of which only the ends are kept")
