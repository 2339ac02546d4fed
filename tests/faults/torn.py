"""Files that are cut short: of each kind, the one that was written last."""

from __future__ import annotations

from pathlib import Path

from tests.faults.life import Life
from zfscale.results import layout

ALL = ("grid", "asha", "ranks", "pbt")
# What is torn -> the settings that have such files. The value of `PLACES` is where they are.
TORN = {
    "journal": ALL,
    "tables": ALL,
    "trials": ALL,
    "plan": ALL,
    "snapshot": ("grid", "asha", "ranks"),
    "attempts": ALL,
    "lock": ALL,
    "decisions journal": ("asha",),
}
PLACES = {
    "journal": (f"{layout.LEDGERS}/*",),
    "tables": tuple(f"{table}/*.parquet" for table in (layout.EVALS, layout.STEPS, layout.LEDGER)),
    "trials": (f"{layout.TRIALS}/*.parquet",),
    "plan": (layout.PLAN,),
    "snapshot": (f"{layout.SNAPSHOTS}/*/*",),
    "attempts": (f"{layout.ATTEMPTS}/*",),
    "lock": (layout.LOCK,),
    "decisions journal": (layout.DECISIONS_JOURNAL,),
}


def tear(life: Life, what: str) -> bool:
    """Cut the newest file of a kind at a random byte; False if there is none."""
    found = [file for place in PLACES[what] for file in life.results.glob(place) if file.is_file()]
    if not found:
        return False
    newest = max(found, key=_age)
    data = newest.read_bytes()
    newest.write_bytes(data[: life.draw.randrange(len(data) + 1)])
    return True


def _age(file: Path) -> tuple[float, str]:
    return file.stat().st_mtime, file.name
