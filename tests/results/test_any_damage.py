"""Random damage to random files: never a traceback, and a trial that counts is as it was."""

from __future__ import annotations

import shutil
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.results import small_results
from zfscale import report
from zfscale.results.check import look
from zfscale.results.layout import TABLES, file_of
from zfscale.results.missing import missing, root

PLACES = st.floats(0, 1, exclude_max=True)
ACTS = st.sampled_from(["flip", "zero", "cut", "remove", "insert", "swap"])
DAMAGE = st.tuples(st.sampled_from(TABLES), st.integers(0, 2), ACTS, PLACES, st.integers(1, 255))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    made = small_results.sweep(tmp_path_factory.mktemp("whole"))
    for trial in made.trials:
        small_results.run(root(made), trial)
    there: Any = root(made)
    return made, small_results.tables(there.root)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(damage=st.lists(DAMAGE, max_size=4))
def test_what_counts_is_as_it_was(damage, whole, tmp_path):
    sweep, tables = whole
    there: Any = root(sweep)
    kept = tmp_path / "kept"
    shutil.rmtree(kept, ignore_errors=True)
    shutil.copytree(there.root, kept)
    try:
        for table, number, act, place, value in damage:
            file = there.root / file_of(table, sweep.trials[number].trial_id)
            data = bytearray(file.read_bytes()) if file.exists() else bytearray(b"?")
            at = int(place * len(data))
            if act == "flip" and data:
                data[at] ^= value
            elif act == "zero":
                data[at : at + value] = bytes(len(data[at : at + value]))
            elif act == "cut":
                data = data[:at]
            elif act == "insert":
                data[at:at] = bytes([value])
            elif act == "swap":
                other = there.root / file_of(table, sweep.trials[(number + 1) % 3].trial_id)
                data = bytearray(other.read_bytes()) if other.exists() else data
            file.unlink(missing_ok=True) if act == "remove" else file.write_bytes(data)
        found = look(there)
        counted = {row["trial_id"] for row in found.rows}
        assert {t.trial_id for t in missing(sweep)} == {t.trial_id for t in sweep.trials} - counted
        if found.rows or found.faults:
            assert report.make(there)[0].startswith("small: ")
        for table in TABLES:
            rows = [row for i in counted for row in small_results.rows_of(there.root / file_of(table, i))]
            assert small_results.sort(rows) == [row for row in tables[table] if row["trial_id"] in counted]
    finally:
        shutil.rmtree(there.root)
        shutil.copytree(kept, there.root)
