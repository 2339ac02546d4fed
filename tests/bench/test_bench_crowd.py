"""`zfscale bench crowd`: the crowds that it has a driver bear, and what it reckons. No time is asserted."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from zfscale.bench import crowd
from zfscale.cli import main
from zfscale.driver_load import SERVERS, Load, Look
from zfscale.sweep.hosted import Host, Hosts, Rooms

START, TRIAL = 0.01, 0.005  # seconds of a driver of which all is known


def looks(load: Load) -> list[Look]:
    """A look as workers start, one when as many trials have ended as there are workers, and one at the end."""
    servers, whole = dict.fromkeys(SERVERS, 0.0), load.trials
    begun = 3.0 + START * load.workers
    return [
        Look(0, 0.0, 3.0, servers, 500.0),
        Look(load.workers, 10.0, begun, servers, 510.0),
        Look(whole, 20.0, begun + TRIAL * (whole - load.workers), servers, 520.0),
    ]


def test_crowds_grow_and_each_has_a_rate_that_a_driver_can_bear() -> None:
    found = crowd.loads(8000, 1000)
    assert [load.workers for load in found] == [125, 500, 2000, 8000]
    assert [load.trials for load in found] == [1000, 1000, 4000, 16000]
    assert all(load.workers / load.seconds <= crowd.RATE + 1e-9 or load.seconds == crowd.LEAST for load in found)
    assert [load.workers for load in crowd.loads(2, 8)] == [1, 2]


def test_starts_and_trials_are_told_apart(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setattr(crowd, "looks_at", looks)
    assert main(["bench", "crowd", "--workers", "64", "--trials", "200", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    for case in found["cases"]:
        assert case["seconds_a_worker"] == pytest.approx(START)
        assert case["seconds_a_trial"]["driver"] == pytest.approx(TRIAL)
    line = crowd.table(found).splitlines()[-1].split()
    assert (line[0], line[2:4], line[-1]) == ("64", ["10.0", "5.0"], "520")


class Kind:
    """A trial that answers with what it was made of."""

    def __init__(self, config: str) -> None:
        self.config = config

    def train(self) -> str:
        return self.config


def test_a_call_that_comes_before_its_trial_waits_for_it() -> None:
    async def called() -> Any:
        host = Host(0.0)
        answer = asyncio.ensure_future(host.call(7, "train", (), {}))
        await asyncio.sleep(0)
        await host.begin(7, Kind, {"config": "seven"})
        return await answer

    assert asyncio.run(called()) == "seven"


def test_rooms_are_given_and_taken_back() -> None:
    request: Any = None
    rooms = Rooms(1, object.__new__(Hosts))
    assert rooms.has_resources_ready(request)
    room = rooms.acquire_resources(request)
    assert not rooms.has_resources_ready(request)
    rooms.free_resources(room)
    assert rooms.has_resources_ready(request)


@pytest.mark.long
def test_a_crowd_is_driven_to_its_end(capsys: Any) -> None:
    assert main(["bench", "crowd", "--workers", "8", "--trials", "16", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [(case["workers"], case["trials"]) for case in found["cases"]] == [(1, 16), (2, 16), (8, 16)]
