"""Ray's servers are not in the run's process group. No Ray runs."""

from __future__ import annotations

import os
import sys

from ray._private import services

from zfscale.sweep.servers import own_sessions

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
