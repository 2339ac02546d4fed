"""Ranks that die as they start: their worker ends, so that Tune starts another. On a Ray of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ALONE = """
import os
import signal
import sys

import ray

from zfscale.spec import ResourcesSpec
from zfscale.sweep import team
from zfscale.sweep.node import ModulePath


class Rank(team.Rank):
    def __init__(self, shared, *rest):
        if shared["way"] == "raises":
            raise RuntimeError("no such library")
        os.kill(os.getpid(), signal.SIGKILL)


class Worker:
    def __init__(self, way):
        team.Rank = team.Rank if way == "in time" else Rank
        self.team = team.Team(ResourcesSpec(workers=2), {"way": way}, ModulePath([], []))

    def ready(self):
        return len(self.team.others)


ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
group = ray.util.placement_group([{"CPU": 1}, {"CPU": 1}])
place = ray.util.scheduling_strategies.PlacementGroupSchedulingStrategy(group, 0)
for way in sys.argv[1:]:
    worker = ray.remote(num_cpus=1)(Worker).options(scheduling_strategy=place).remote(way)
    try:
        print(way, ray.get(worker.ready.remote(), timeout=100))
    except ray.exceptions.RayError as error:
        print(way, type(error).__name__, "no such library" in str(error))
"""


@pytest.mark.slow
def test_a_worker_ends_where_a_rank_of_its_does_not_start(tmp_path: Path) -> None:
    """Where the rank says why, so does the worker; where it is killed, the driver does not wait for ever."""
    (tmp_path / "alone.py").write_text(ALONE)
    command = [sys.executable, str(tmp_path / "alone.py"), "killed", "raises", "in time"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stderr
    said = [line for line in done.stdout.splitlines() if line.startswith(("killed", "raises", "in time"))]
    assert said == ["killed ActorDiedError False", "raises ActorDiedError True", "in time 1"]
