"""How Ray is started: in a private directory, away from the user's own, and what is said if it does not start."""

from __future__ import annotations

import os
import signal
import tempfile
from pathlib import Path
from typing import Any

import pytest
from ray._private import utils

import zfscale
from zfscale.errors import ZfscaleError
from zfscale.sweep import cluster
from zfscale.sweep.cluster import connected
from zfscale.sweep.environment import as_ctrl_c, stop


@pytest.fixture
def temporary(monkeypatch, tmp_path):
    """The directory for temporary files; the working directory is another."""
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cluster.ray, "shutdown", lambda: None)
    with tempfile.TemporaryDirectory(dir="/tmp") as place:
        monkeypatch.setenv("RAY_TMPDIR", place)
        yield Path(place)


def test_why_ray_does_not_start_is_one_line_with_the_whole_reason(temporary, tmp_path, monkeypatch):
    def init(**_options):
        raise RuntimeError("Failed to start the node.\n\n  raylet: no space left in /dev/shm\n")

    monkeypatch.setattr(cluster.ray, "init", init)
    reason = "^--address local: Failed to start the node. raylet: no space left in /dev/shm$"
    with pytest.raises(ZfscaleError, match=reason), connected("local"):
        pass
    assert os.getcwd() == str(tmp_path)
    assert list(temporary.iterdir()) == []


def test_sigterm_stays_ours_while_ray_starts_and_after(temporary, monkeypatch):
    seen = []

    def init(**_options):
        utils.set_sigterm_handler(signal.SIG_DFL)
        seen.append(signal.getsignal(signal.SIGTERM))
        signal.signal(signal.SIGTERM, signal.SIG_DFL)  # as its C++ does in the end

    monkeypatch.setattr(cluster.ray, "init", init)
    with as_ctrl_c():
        with connected("local"):
            seen.append(signal.getsignal(signal.SIGTERM))
        assert seen == [stop, stop]


def test_workers_of_a_cluster_of_our_own_find_this_package_and_nothing_of_the_users(temporary, tmp_path, monkeypatch):
    seen: dict[str, Any] = {}
    monkeypatch.setattr(cluster.ray, "init", lambda **options: seen.update(options, here=Path.cwd(), has=os.listdir()))
    with connected("local") as place:
        assert place.parent == temporary
        assert seen["here"].is_relative_to(place)  # Ray puts it first on the workers' path
        assert seen["has"] == ["zfscale"]
        assert (seen["here"] / "zfscale").samefile(Path(zfscale.__file__).parent)
        assert Path(seen["_temp_dir"]).is_relative_to(place)
        assert os.getcwd() == str(tmp_path)
    assert list(temporary.iterdir()) == []
