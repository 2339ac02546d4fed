"""Real sweeps, disturbed at random moments, end in the tables of one that nothing disturbed.

`make test-faults FAULTS=200` disturbs so often in all, some times in each sweep's life; one of its lives is repeated by
the words that it prints, such as `make test-faults FAULT_SEED=7 FAULT_SETTING=grid FAULT_KIND="kill driver,SIGINT"`.
"""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.faults import compare, sweeps
from tests.faults.disk import own_disk
from tests.faults.kinds import KINDS, mountable
from tests.faults.life import Life
from tests.faults.tally import Tally
from zfscale import spec

IN_A_LIFE = 4  # faults
COUNT = int(os.environ.get("FAULTS") or 200)
SEED = int(os.environ.get("FAULT_SEED") or 0)
GONE = 60.0  # seconds until no process of an ended sweep is left


@dataclass(frozen=True)
class Plan:
    """The faults of one life."""

    seed: int
    setting: str
    kinds: tuple[str, ...]

    def __str__(self) -> str:
        return f'FAULT_SEED={self.seed} FAULT_SETTING={self.setting} FAULT_KIND="{",".join(self.kinds)}"'


def plans(count: int, seed: int) -> list[Plan]:
    """Lives with so many faults in all, of all kinds and settings in turn; or the one that variables ask for."""
    if asked := os.environ.get("FAULT_KIND"):
        return [Plan(seed, os.environ.get("FAULT_SETTING") or "grid", tuple(asked.split(",")))]
    draw, decks, found = random.Random(seed), dict[str, list[str]](), []
    for i in range(-(-count // IN_A_LIFE)):
        setting = [*sweeps.SETTINGS][i % len(sweeps.SETTINGS)]
        kinds = []
        for _ in range(IN_A_LIFE):
            if not decks.get(setting):
                decks[setting] = [name for name, kind in KINDS.items() if setting in kind.settings]
                draw.shuffle(decks[setting])
            kinds.append(decks[setting].pop())
        found.append(Plan(draw.randrange(10**6), setting, tuple(kinds)))
    return found


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], dict[str, compare.Rows]]:
    """The tables of the undisturbed sweep, by the name of a setting."""
    known: dict[str, dict[str, compare.Rows]] = {}

    def tables(setting: str) -> dict[str, compare.Rows]:
        reference = sweeps.SETTINGS[setting].reference
        if not reference:
            return {}
        if reference not in known:
            life = Life(tmp_path_factory.mktemp("whole"), reference, {}, random.Random(0))
            life.begin()
            assert life.wait() == 1, life.words()
            known[reference] = compare.read(life.results)
            statuses = Counter(row["status"] for row in known[reference]["trials"])
            assert statuses == {"finished": 6, "failed": 2}, life.words()
        return known[reference]

    return tables


def assert_a_life_changes_nothing(plan: Plan, folder: Path, whole: dict[str, compare.Rows], tally: Tally) -> None:
    """One life: its faults at random moments, then the same command until the sweep is complete."""
    print(plan)
    kinds, draw = [KINDS[name] for name in plan.kinds], random.Random(plan.seed)
    sizes = Counter(row["trial_id"] for row in whole.get("steps", ()))
    failing = {row["trial_id"] for row in whole.get("trials", ()) if row["status"] == "failed"}
    with ExitStack() as stack:
        if any(kind.disk for kind in kinds):
            stack.enter_context(own_disk(folder))
        life = Life(folder, plan.setting, dict(sizes), draw)
        stack.callback(life.end)
        if not whole:
            life.sizes = {trial.trial_id: sweeps.STEPS for trial in spec.load(life.file).trials}
        life.sets = sorted({each for kind in kinds for each in kind.sets})
        for kind in kinds:
            if kind.prepare is not None:
                kind.prepare(life)
        for name, point in zip(plan.kinds, sorted(draw.random() * 0.9 for _ in kinds), strict=True):
            happened = life.until(point) and KINDS[name].act(life)
            print(f"{time.strftime('%H:%M:%S')} {name} at {point:.3f} of the steps{'' if happened else ': too late'}")
            (tally.done if happened else tally.missed)[name] += 1
            tally.took.setdefault(name, []).extend(life.took)
            life.took.clear()
        life.to_the_end(failing)
        print(life.words())
        if whole:
            compare.assert_equal(whole, life.results)
        else:
            compare.assert_implied(life.file)
        if plan.setting == "asha":
            compare.assert_explained(life.file, life.results)
        assert "Traceback" not in life.said.read_text(errors="replace")
        deadline = time.monotonic() + GONE
        while (left := life.family()) and time.monotonic() < deadline:
            time.sleep(0.5)
        assert not left, f"processes are left: {left}"


def test_so_many_faults_as_are_asked_for_are_of_all_kinds() -> None:
    found = plans(200, 0)
    assert sum(len(plan.kinds) for plan in found) == 200
    assert {name for plan in found for name in plan.kinds} == set(KINDS)
    assert {plan.setting for plan in found} == set(sweeps.SETTINGS)
    assert all(plan.setting in KINDS[name].settings for plan in found for name in plan.kinds)
    assert found == plans(200, 0)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_few_faults_under_asha(tmp_path: Path, whole: Callable[[str], dict[str, compare.Rows]], tally: Tally) -> None:
    before = tally.done.total()
    assert_a_life_changes_nothing(Plan(11, "asha", ("kill worker", "SIGTERM")), tmp_path / "life", whole("asha"), tally)
    assert tally.done.total() > before, "all faults came too late"


@pytest.mark.faults
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("plan", plans(COUNT, SEED), ids=str)
def test_a_disturbed_sweep_ends_in_the_same_tables(
    plan: Plan, tmp_path: Path, whole: Callable[[str], dict[str, compare.Rows]], tally: Tally
) -> None:
    if any(KINDS[name].disk for name in plan.kinds) and not mountable():
        pytest.skip("a disk of its own needs root")
    assert_a_life_changes_nothing(plan, tmp_path / "life", whole(plan.setting), tally)
