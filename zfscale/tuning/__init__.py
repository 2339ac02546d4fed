"""`zfscale tune`: choose the values of a sweep on held-out images, at one budget for every method and optimizer.

sweep --cells--> (method, optimizer) --candidates--> trials within the budget --sweep runs them--> choose --> file
"""

from __future__ import annotations

from pathlib import Path

from zfscale.errors import ZfscaleError
from zfscale.results.missing import root
from zfscale.spec import Sweep, load
from zfscale.tuning.choosing import Chosen, choose
from zfscale.tuning.planning import Plan, plan
from zfscale.tuning.writing import tuned_text

__all__ = ["Chosen", "Plan", "chosen", "plan", "target", "write"]


def chosen(made: Plan) -> list[Chosen]:
    """What is best of each cell, by the results of the plan's trials, all of which have ended.

    Raises:
        ZfscaleError: No candidate of a cell has a result.
    """
    return choose(made, root(made.sweep))


def target(sweep: Sweep, out: str) -> Path:
    """The file that will be written.

    Raises:
        ZfscaleError: It would replace the file that is tuned.
    """
    if Path(out).resolve() == sweep.path.resolve():
        raise ZfscaleError(f"--out: {out} is the file that is tuned; expected another one")
    return Path(out)


def write(sweep: Sweep, found: list[Chosen], out: Path) -> None:
    """Write the sweep file with what was chosen, and read it back.

    Raises:
        SpecError: The values do not make a valid sweep.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(tuned_text(sweep, found), encoding="utf-8")
    load(out)
