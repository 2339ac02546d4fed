"""The names inside a results directory have one owner."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from zfscale.records import Status
from zfscale.results import layout

PACKAGE = Path(__file__).parents[2] / "zfscale"
NAMES = {
    layout.REPORT,
    layout.PAGE,
    layout.ACCURACY_PICTURE,
    layout.GAIN_PICTURE,
    layout.LOSS_PICTURE,
    layout.SNAPSHOTS,
    layout.LOCK,
    layout.STOP,
    layout.SCRATCH,
    layout.PLAN,
}
NAMES |= {
    layout.DECISIONS,
    layout.DECISIONS_JOURNAL,
    *layout.TABLES,
    *layout.RUNNING,
    layout.note_of(layout.WANDB),
    *Status,
}
WORDS: dict[str, set[str]] = {  # that mean something else there
    "metrics/catalogue.py": set(),
    "records.py": set(Status),  # which declares them
    "results/layout.py": NAMES,
    "pretraining/lm_nano.py": {"steps"},
    "pretraining/mae_nano.py": {"steps"},
    "pretraining/vit_duo.py": {"steps"},
    "pretraining/vit_mini.py": {"steps"},
    "pretraining/vit_nano.py": {"steps"},
    "arguments.py": {"trials"},  # that a command is given
    "commands/ledgers.py": {"trials"},
    "sinks/wandb_workspace.py": {"trials"},  # the title of a panel
    "spec/spending.py": {"trials"},  # a budget's unit
    "sweep/gate.py": {"trials"},
}


def texts(file: Path) -> list[str]:
    """Texts of the code, but for docstrings."""
    tree = ast.parse(file.read_text())
    expressions = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    constants = [node for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in expressions]
    return [node.value for node in constants if isinstance(node.value, str)]


def test_nobody_else_spells_them():
    found = set()
    for file in PACKAGE.rglob("*.py"):
        name = file.relative_to(PACKAGE).as_posix()
        if name.startswith(("bench/", "testing/")):
            continue  # neither reads results
        for text in texts(file):
            parts = {part for part in re.split("/", text) if part in NAMES} - WORDS.get(name, set())
            found |= {f"{name}: {part}" for part in parts if not re.search(r"\s", text)}
    assert found == set()


def test_every_name_is_another():
    names = [*layout.TABLES, *layout.RUNNING, layout.SNAPSHOTS, layout.LOCK, layout.STOP, layout.SCRATCH]
    names += [
        layout.SWITCH,
        layout.SYNC,
        layout.PLAN,
        layout.TUNED,
        layout.WANDB,
        layout.DECISIONS,
        layout.DECISIONS_JOURNAL,
    ]
    assert len(set(names)) == len(names)
