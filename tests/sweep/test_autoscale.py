"""A cluster that grows: Ray's own autoscaler on one machine, its head without CPUs and its workers from none.

Not `ray.cluster_utils.AutoscalingCluster`: its file of defaults is missing in Ray's wheel, and it begins and ends with
`ray stop --force`, which kills every Ray process of the machine.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pyarrow.parquet as pq
import pytest
import ray
from ray.autoscaler._private.fake_multi_node.node_provider import FAKE_HEAD_NODE_ID, FakeMultiNodeProvider

from tests.conftest import sweep_file
from zfscale import spec

pytestmark = [pytest.mark.long, pytest.mark.timeout(240)]
BIN = Path(sys.executable).parent
SECONDS_TO_START = 60
LISTS = ("initialization", "setup", "head_setup", "worker_setup", "head_start_ray", "worker_start_ray")
V2 = {"RAY_CLOUD_INSTANCE_ID": FAKE_HEAD_NODE_ID, "RAY_OVERRIDE_NODE_ID_FOR_TESTING": FAKE_HEAD_NODE_ID}


def autoscaling(address: str) -> dict:
    """As a file for `ray up` is, once its defaults are filled in: at most two workers of 2 CPUs."""
    provider = f"{FakeMultiNodeProvider.__module__}.{FakeMultiNodeProvider.__name__}"
    worker = {"resources": {"CPU": 2, "object_store_memory": 80_000_000}, "node_config": {}, "max_workers": 2}
    return {
        "cluster_name": "grows",
        "max_workers": 2,
        "idle_timeout_minutes": 5,
        "upscaling_speed": 1.0,
        "provider": {
            "type": "external",
            "module": provider,
            "gcs_address": address,
            "launch_multiple": True,
            "disable_node_updaters": True,
            "disable_launch_config_check": True,
            "head_node_id": FAKE_HEAD_NODE_ID,
        },
        "available_node_types": {
            "ray.head.default": {"resources": {"CPU": 0}, "node_config": {}, "max_workers": 0},
            "cpu": worker,
        },
        "head_node_type": "ray.head.default",
        **{name: {} for name in ("auth", "docker", "file_mounts")},
        **{name: [] for name in ("cluster_synced_files", "rsync_exclude", "rsync_filter")},
        "file_mounts_sync_continuously": False,
        **{f"{name}_commands": [] for name in LISTS},
    }


@pytest.fixture
def start(tmp_path, monkeypatch):
    """Start a head: (further options) -> its address. All of its processes, nobody else's, are of one session."""
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN", secrets.token_hex(32))
    heads = []

    def start_head(*options: str, newer: bool = True, grows: bool = True) -> str:
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
        address = f"{ray.util.get_node_ip_address()}:{port}"
        (tmp_path / "grows.json").write_text(json.dumps(autoscaling(address)))
        env = os.environ | {"RAY_FAKE_CLUSTER": "1", "AUTOSCALER_UPDATE_INTERVAL_S": "1"}
        env |= ({"RAY_enable_autoscaler_v2": "1"} | V2) if newer else {}
        command = [str(BIN / "ray"), "start", "--head", f"--port={port}", "--num-cpus=0", "--block", *options]
        command += ["--object-store-memory=80000000", "--include-dashboard=false", "--disable-usage-stats"]
        command += [f"--autoscaling-config={tmp_path / 'grows.json'}"] if grows else []
        with open(tmp_path / "head.log", "w") as log:
            head = subprocess.Popen(command, env=env, stdout=log, stderr=log, start_new_session=True)
        heads.append(head.pid)
        wait_for("Ray runtime started", tmp_path / "head.log")
        return address

    yield start_head
    for process in psutil.process_iter():
        try:
            if os.getsid(process.pid) in heads:
                process.send_signal(signal.SIGKILL)
        except (ProcessLookupError, psutil.NoSuchProcess):
            pass


def wait_for(text: str, file: Path) -> None:
    end = time.monotonic() + SECONDS_TO_START
    while text not in file.read_text():
        assert time.monotonic() < end, file.read_text()
        time.sleep(0.2)


@pytest.fixture
def sweep_of(tmp_path, tiny_vit, image_folder):
    """A sweep of one trial that asks for these resources."""
    one = {"space": {"seed": {"grid": [0]}}}
    return lambda **asked: spec.load(sweep_file(tmp_path / "s.yaml", tiny_vit, image_folder, resources=asked, **one))


CHECK = """
import sys, ray
from zfscale import spec
from zfscale.sweep.cluster import check_resources, connected

sweep = spec.load(sys.argv[1])
with connected(sys.argv[2]):
    head = {"num_cpus": 0, "resources": {"node:__internal_head__": 0.001}}
    if sys.argv[3:]:
        ray.get(ray.remote(**head)(check_resources).remote(sweep))
    check_resources(sweep)
    print(sorted(node["Resources"].get("CPU", 0) for node in ray.nodes() if node["Alive"]))
"""


def check(tmp_path: Path, address: str, *task: str) -> subprocess.CompletedProcess[str]:
    """The check of resources, in a process of its own: Ray reads its token once. With "task", in a task before."""
    command = [sys.executable, "-c", CHECK, str(tmp_path / "s.yaml"), address, *task]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("newer", [True, False], ids=["v2", "v1"])
def test_room_for_all_workers_comes(start, sweep_of, tmp_path, newer):
    sweep_of(cpus=2, workers=2)
    checked = check(tmp_path, start(newer=newer))
    assert checked.stdout == "[0, 2.0, 2.0]\n", checked.stderr
    told = "no node has room for a trial (2 workers of 2 cpus): waiting up to 20 min for the cluster to grow\n"
    assert checked.stderr.count(told) == 1


def test_a_task_on_the_head_waits_as_well(start, sweep_of, tmp_path):
    sweep_of(cpus=2)
    checked = check(tmp_path, start(), "task")
    assert checked.stdout == "[0, 2.0]\n", checked.stderr


def test_what_the_cluster_cannot_add_is_refused_at_once(start, sweep_of, tmp_path):
    sweep_of(cpus=16)
    checked = check(tmp_path, start())
    assert "cpus: 16 asked for each trial; there are 0; the cluster cannot add nodes with room for it" in checked.stderr


@pytest.mark.parametrize("options", [["--no-monitor"], []])
def test_a_head_that_starts_no_nodes_is_not_waited_for(start, sweep_of, tmp_path, options):
    sweep_of(cpus=1)
    checked = check(tmp_path, start(*options, newer=False, grows=False))
    assert "SpecError" in checked.stderr
    assert "resources.cpus: 1 asked for each trial; there are 0" in checked.stderr


def test_a_sweep_runs_on_the_node_that_came(start, sweep_of, tmp_path):
    sweep_of(cpus=2)
    command = [BIN / "zfscale", "run", tmp_path / "s.yaml", "--address", start()]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=200)
    assert ran.returncode == 0, ran.stderr
    assert ran.stderr.count("waiting up to 20 min for the cluster to grow") == 1
    assert pq.read_table(tmp_path / "results/small/trials")["status"].to_pylist() == ["finished"]
