"""Ray's servers are not in the run's process group. No Ray runs."""

from __future__ import annotations

import os
import sys
import threading
from types import SimpleNamespace

from ray._private import services, worker

from zfscale.sweep import servers
from zfscale.sweep.servers import UNFINISHED, own_sessions, watched

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]


def session_of_a_server() -> tuple[int, int]:
    started = services.start_ray_process(SLEEP, "test", fate_share=True).process
    try:
        return os.getsid(started.pid), started.pid
    finally:
        started.kill()
        started.wait()


def test_a_server_has_a_session_of_its_own_inside_only():
    with own_sessions():
        session, pid = session_of_a_server()
    assert session == pid
    assert session_of_a_server()[0] == os.getsid(0)


def test_the_death_of_a_server_ends_the_run_as_an_unfinished_one(monkeypatch, capsys):
    dead: list[tuple[str, None]] = []
    monkeypatch.setattr(servers, "LOOK_EVERY", 0.01)
    monkeypatch.setattr(worker, "_global_node", SimpleNamespace(dead_processes=lambda: list(dead)))
    ended, statuses = threading.Event(), list[int]()

    def end(status):
        statuses.append(status)
        ended.set()

    with watched(end):
        dead.append(("dashboard", None))  # without which trials run on
        assert not ended.wait(0.2)
        dead.append(("raylet", None))
        assert ended.wait(30)
    assert statuses == [UNFINISHED]
    assert capsys.readouterr().err == "Ray's raylet has died; the run ends: the same command resumes it\n"
