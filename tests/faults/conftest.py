"""Counts the faults of a session, and prints the count at its end."""

from __future__ import annotations

from typing import Any

import pytest

from tests.faults.tally import Tally

TALLY = pytest.StashKey[Tally]()


@pytest.fixture(scope="session")
def tally(request: pytest.FixtureRequest) -> Tally:
    return request.config.stash.setdefault(TALLY, Tally())


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    if (tally := config.stash.get(TALLY, None)) is not None:
        terminalreporter.section("faults")
        for line in tally.lines():
            terminalreporter.write_line(line)
