"""The trials of results one by one: what is verified, what is told, and what is kept of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from zfscale.errors import StorageError, ZfscaleError
from zfscale.results import certificates
from zfscale.results.check import Found, look
from zfscale.results.layout import TRIALS
from zfscale.results.schema import TAIL
from zfscale.results.storage import Place, Storage, storage
from zfscale.spec import TrialSpec
from zfscale.trial.again import one_process
from zfscale.trial.fingerprints import prints_of
from zfscale.trial.inputs import Inputs
from zfscale.verify.checked import Checked
from zfscale.verify.finding import Finding
from zfscale.verify.trial import Read, check, why_not

HOLDS, FAILS, CANNOT = 0, 1, 2  # exit statuses


@dataclass
class Verified:
    """What came of all of them.

    Args:
        checked: Trials in the order of their ids.
        asked: Whether a user has named them.
    """

    asked: bool
    checked: list[Checked] = field(default_factory=list)

    @property
    def status(self) -> int:
        """The exit status: something does not hold; or there was nothing to look at, or not all of what was asked."""
        if any(each.findings for each in self.checked):
            return FAILS
        held = [each.holds for each in self.checked]
        return HOLDS if any(held) and (all(held) or not self.asked) else CANNOT

    def __str__(self) -> str:
        kinds = [("hold", sum(each.holds for each in self.checked))]
        kinds += [("do not", sum(bool(each.findings) for each in self.checked))]
        kinds += [("cannot be verified", sum(not each.holds and not each.findings for each in self.checked))]
        return ", ".join(f"{count} {what}" for what, count in kinds if count or what == "hold")


def verify(
    results: Place, trials: Sequence[str] = (), losses: int = 0, tell: Callable[[str], None] = print
) -> Verified:
    """Verify trials, all by default; a line about each is told, and a certificate kept beside its tables.

    Args:
        results: A results directory or URL.
        trials: Their ids.
        losses: How many steps of each trial are measured again.
        tell: What is told a line.

    Raises:
        ZfscaleError: A trial has not ended, none has, or inputs cannot be read.
    """
    there = storage(results)
    found = look(there, TAIL.names, only=trials or None)
    if missing := sorted(set(trials) - {row["trial_id"] for row in found.rows} - set(found.damaged)):
        raise ZfscaleError(f"{there}: trial {missing[0]} has not ended, so there is nothing to verify yet")
    if not found.rows and not found.faults:
        raise ZfscaleError(f"{there}: no trial has ended, so there is nothing to verify yet")
    verified = Verified(bool(trials))
    for checked in _each(there, found, losses):
        verified.checked.append(checked)
        tell(str(checked))
        if checked.row is not None and not checked.why_not:
            _keep(there, checked, tell)
    return verified


def _each(there: Storage, found: Found, losses: int) -> Iterator[Checked]:
    """Look at every trial: those that are damaged, those with nothing to replay, and all others."""
    for trial_id in found.damaged:
        faults = [fault for fault in found.faults if fault.trial_id == trial_id]
        yield Checked(trial_id, findings=[Finding(fault.file, "", fault.problem) for fault in faults])
    todo = []
    for row in found.rows:
        try:
            why = why_not(row)
        except ValueError:
            yield Checked(row["trial_id"], row, [Finding(TRIALS, "spec", "it is that of no trial")])
            continue
        if why:
            yield Checked(row["trial_id"], row, why_not=why)
        else:
            todo.append(row)
    specs = [one_process(row) for row in todo]
    inputs = Inputs(specs)
    known = prints_of([TrialSpec.from_json(row["spec"]) for row in todo], inputs)
    read = Read(there, inputs, known, {}, losses)
    for row in todo:
        yield check(row, read)


def _keep(there: Storage, checked: Checked, tell: Callable[[str], None]) -> None:
    """Write the certificate; results that cannot be written to are verified all the same."""
    try:
        certificates.write(there, checked.trial_id, checked.certificate())
    except StorageError as error:
        tell(f"  its certificate was not written: {error}")
