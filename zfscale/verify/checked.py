"""What came of one trial: what agreed, what did not, and what nobody can look at."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

from zfscale.results.certificates import Certificate, signature
from zfscale.results.layout import EVALS
from zfscale.trial.run import versions
from zfscale.verify.finding import Finding

SHOWN = 5  # findings of a part that are shown


@dataclass
class Losses:
    """A sample of steps that was measured again.

    Args:
        sampled: How many.
        exact: How many gave the same loss and coefficients to the bit.
        largest: The largest difference of a loss.
        tolerance: How far a loss may be from its record, relative to it or to 1; 0 where every bit has to be the same.
    """

    sampled: int = 0
    exact: int = 0
    largest: float = 0.0
    tolerance: float = 0.0


@dataclass
class Checked:
    """A trial that was looked at.

    Args:
        trial_id: The trial.
        row: Its row in `trials`; None of a trial that is damaged.
        findings: What does not hold.
        unchecked: What was not looked at, and why.
        why_not: Why there is nothing to verify; "" where there is.
        weights: Stages of which the weights agreed, None where results say nothing of weights.
        evals: Rows of `evals` that agreed.
        nearness: How far an evaluation may be from its record; 0 where every bit has to be the same.
        losses: Of steps that were measured again, if any were.
        inputs: What was read now.
    """

    trial_id: str
    row: dict[str, Any] | None = None
    findings: list[Finding] = field(default_factory=list)
    unchecked: list[str] = field(default_factory=list)
    why_not: str = ""
    weights: int | None = None
    evals: int = 0
    nearness: float = 0.0
    losses: Losses | None = None
    inputs: dict[str, str] = field(default_factory=dict)

    @property
    def holds(self) -> bool:
        """Whether all that was looked at is as it was recorded."""
        return not self.findings and not self.why_not

    @property
    def replay_exact(self) -> bool | None:
        """Whether the weights after every stage are those of the trial, to the bit; None where none are recorded."""
        return None if self.weights is None else self.holds

    @property
    def rerun_exact(self) -> bool | None:
        """Whether all steps of the sample gave the same losses, to the bit; None without a sample."""
        return None if self.losses is None else self.holds and self.losses.exact == self.losses.sampled

    def certificate(self) -> Certificate:
        """What is kept of it."""
        assert self.row is not None
        return {
            "trial": self.trial_id,
            "row": signature(self.row),
            "holds": self.holds,
            "replay_exact": self.replay_exact,
            "rerun_exact": self.rerun_exact,
            "weights": {"stages": self.weights, "recorded": json.loads(self.row["weights"] or "null")},
            EVALS: {"agree": self.evals, "tolerance": self.nearness},
            "losses": self.losses and vars(self.losses),
            "findings": [str(finding) for finding in self.findings],
            "not_checked": self.unchecked,
            "inputs": self.inputs,
            "machine": json.loads(versions()),
            "at": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        }

    def __str__(self) -> str:
        if self.why_not:
            return f"{self.trial_id}: cannot be verified: {self.why_not}"
        if self.findings:
            shown = [f"  {finding}" for finding in self.findings[:SHOWN]]
            more = [f"  and {rest} more"] if (rest := len(self.findings) - SHOWN) > 0 else []
            return "\n".join([f"{self.trial_id}: does not hold", *shown, *more])
        return "\n".join([f"{self.trial_id}: holds: {', '.join(self._parts())}", *(f"  {u}" for u in self.unchecked)])

    def _parts(self) -> list[str]:
        stages = f"{self.weights} stage{'s' * (self.weights != 1)}"
        parts = ["no weights recorded" if self.weights is None else f"replay-exact ({stages})"]
        parts.append(f"{self.evals} evals {f'within {self.nearness:g}' if self.nearness else 'equal'}")
        if (found := self.losses) is not None and found.sampled:
            whole = f"rerun-exact ({found.sampled} steps)"
            part = f"{found.exact} of {found.sampled} steps to the bit, the others within {found.tolerance:g}"
            parts.append(whole if self.rerun_exact else part)
        return parts
