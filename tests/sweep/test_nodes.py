"""What of a cluster is looked at before trials start; its nodes are given, no Ray runs."""

from __future__ import annotations

import json
import socket
import sys
from types import SimpleNamespace
from typing import Any

import pytest
from ray.runtime_env.runtime_env import _merge_runtime_env

import zfscale
from tests.conftest import sweep_file
from zfscale import spec
from zfscale.errors import SpecError, ZfscaleError
from zfscale.results.lock import held
from zfscale.results.storage import storage
from zfscale.spec import OutputSpec
from zfscale.spec.own import PLACES, own_code
from zfscale.sweep import autoscale, cluster, node
from zfscale.sweep.bundles import bundles, room
from zfscale.sweep.cluster import answers, check_resources
from zfscale.sweep.node import ModulePath, code, look_around, where

NOWHERE = ModulePath([], [])


@pytest.fixture
def sweep_of(tmp_path, tiny_vit, image_folder):
    """A sweep with these blocks."""
    return lambda **blocks: spec.load(sweep_file(tmp_path / "s.yaml", tiny_vit, image_folder, **blocks))


@pytest.fixture
def nodes(monkeypatch):
    """Set the resources of the nodes there are."""

    def set_nodes(there):
        alive = [{"Alive": True, "NodeID": str(i), "Resources": node} for i, node in enumerate(there)]
        monkeypatch.setattr(cluster.ray, "nodes", lambda: [*alive, {"Alive": False, "Resources": {"CPU": 99}}])

    return set_nodes


@pytest.fixture
def waits(monkeypatch):
    """Let the cluster grow; what is waited for, and what comes of it."""
    asked: list[Any] = []
    answers: list[Any] = []
    monkeypatch.setattr(autoscale, "can_grow", lambda: True)
    monkeypatch.setattr(autoscale, "await_room", lambda resources: asked.append(resources) or answers.pop())
    return asked, answers


FITS = [
    ({"cpus": 2}, [{"CPU": 1}, {"CPU": 2}]),
    ({"cpus": 1, "gpus": 0.5}, [{"CPU": 4}, {"CPU": 1, "GPU": 1}]),
    ({"cpus": 2, "workers": 2}, [{"CPU": 3}, {"CPU": 2}]),
]
DOES_NOT = [
    ({"cpus": 3}, [{"CPU": 2}, {"CPU": 2}], "resources.cpus: 3 asked for each trial; the largest node has 2"),
    ({"cpus": 3}, [{"CPU": 2}], "resources.cpus: 3 asked for each trial; there are 2"),
    ({"cpus": 1}, [{}], "resources.cpus: 1 asked for each trial; there are 0"),
    ({"cpus": 1, "gpus": 2}, [{"CPU": 2}, {"CPU": 8, "GPU": 1}], "resources.gpus: 2 asked .* largest node has 1"),
    ({"cpus": 4, "gpus": 1}, [{"CPU": 4}, {"CPU": 1, "GPU": 1}], "resources: no node has both 4 cpus and 1 gpus"),
    ({"cpus": 2, "workers": 4}, [{"CPU": 3}, {"CPU": 3}], "resources.workers: 4 for each trial; there is room for 2"),
]


@pytest.mark.parametrize(("asked", "there"), FITS)
def test_a_trial_fits_the_nodes_and_nothing_is_waited_for(sweep_of, nodes, waits, asked, there):
    nodes(there)
    assert check_resources(sweep_of(resources=asked)) is None
    assert waits[0] == []


@pytest.mark.parametrize(("asked", "there", "message"), DOES_NOT)
def test_a_trial_without_room_is_refused_on_a_cluster_of_our_own(sweep_of, nodes, asked, there, message):
    nodes(there)
    with pytest.raises(SpecError, match=rf"s.yaml:\d+: {message}$"):
        check_resources(sweep_of(resources=asked), own=True)


@pytest.mark.parametrize(("asked", "there", "message"), DOES_NOT)
def test_room_is_waited_for_where_the_cluster_may_grow(sweep_of, nodes, waits, asked, there, message):
    nodes(there)
    sweep, (asked_for, answers) = sweep_of(resources=asked), waits
    answers += ["none came in 20 min", None]
    assert check_resources(sweep) is None
    with pytest.raises(SpecError, match=f"{message}; none came in 20 min"):
        check_resources(sweep)
    assert asked_for == [sweep.spec.resources] * 2


TOLD = b'{"autoscaler_report": {"active_nodes": {"%s": 1}}}'


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ({}, False),  # --no-monitor
        ({"AutoscalerMetricsAddress": b"a:1"}, True),  # it has only just started
        ({"AutoscalerMetricsAddress": b"a:1", "__autoscaling_status": TOLD % b"head"}, True),
        ({"AutoscalerMetricsAddress": b"a:1", "__autoscaling_status": TOLD % b"node_0"}, False),  # `ray start` by hand
    ],
)
def test_whether_a_cluster_may_grow_is_what_its_autoscaler_tells(nodes, monkeypatch, table, expected):
    nodes([{"CPU": 1}])
    monkeypatch.setattr(autoscale, "_newer", lambda: False)
    monkeypatch.setattr(autoscale, "_internal_kv_get", table.get)
    monkeypatch.setattr(cluster.ray, "nodes", lambda: [{"NodeID": "0", "Alive": True}])
    assert autoscale.can_grow() is expected


class Group:
    """A placement group that gets no room, or is given up."""

    def __init__(self, error=None):
        self.error = error

    def wait(self, _seconds):
        if self.error:
            raise self.error
        return False


@pytest.mark.parametrize(
    ("refused", "grows", "minutes", "told"),
    [
        (False, True, 0.0, "none with room for it came in 0 min"),
        (True, True, 20.0, "the cluster cannot add nodes with room for it"),
        (False, False, 20.0, "the cluster cannot add nodes with room for it"),  # as its first report says
    ],
)
def test_waiting_ends_and_takes_its_request_back(sweep_of, monkeypatch, capsys, refused, grows, minutes, told):
    group, asked = Group(), sweep_of(resources={"cpus": 4, "gpus": 0.5}).spec.resources
    removed: list[Any] = []
    monkeypatch.setattr(autoscale, "bundles", lambda _resources: SimpleNamespace(to_placement_group=lambda: group))
    monkeypatch.setattr(autoscale, "remove_placement_group", removed.append)
    monkeypatch.setattr(autoscale, "_refused", lambda _group: refused)
    monkeypatch.setattr(autoscale, "can_grow", lambda: grows)
    monkeypatch.setattr(autoscale, "WAIT_MINUTES", minutes)
    assert autoscale.await_room(asked) == told
    assert f"for a trial (4 cpus, 0.5 gpus): waiting up to {minutes:g} min" in capsys.readouterr().err
    group.error = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        autoscale.await_room(asked)
    assert removed == [group, group]


JOB = "RAY_JOB_CONFIG_JSON_ENV_VAR"
WANTED = {"py_modules": ["/a/zfscale"], "env_vars": {"A": "1", "B": "2"}}


@pytest.mark.parametrize(
    ("job", "expected"),
    [
        (None, WANTED),
        ({}, WANTED),
        ({"pip": ["x"], "env_vars": {"A": "9"}}, {"py_modules": ["/a/zfscale"], "env_vars": {"B": "2"}}),
        ({"py_modules": ["gcs://z.zip"]}, {"env_vars": WANTED["env_vars"]}),
        ({"working_dir": "gcs://z.zip", "env_vars": {"B": "2"}}, {"env_vars": {"A": "1"}}),
    ],
)
def test_a_submitted_job_is_sent_the_package_beside_what_it_brought(monkeypatch, job, expected):
    monkeypatch.delenv(JOB, raising=False)
    if job is not None:
        monkeypatch.setenv(JOB, json.dumps({"runtime_env": job, "metadata": {}}))
    mine: Any = cluster.runtime_env_beside_job(WANTED)
    assert mine == expected
    assert _merge_runtime_env(job, mine) is not None, "Ray refuses it"


def test_nodes_are_sent_the_package_and_the_user_s_own_modules(sweep_of, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "own_module.py").write_text("def loss(x, y): return 0.0\n")
    (tmp_path / "own_package").mkdir()
    (tmp_path / "own_package" / "losses.py").write_text("def loss(x, y): return 0.0\n")
    (tmp_path / "own_sink.py").write_text("class Mine:\n    step = query = eval = close = print\n")
    names = ["cross_entropy", "own_module:loss", "own_package.losses:loss", "torch.nn.functional:cross_entropy"]
    sweep = sweep_of(space={"train.objective": {"grid": names}}, output={"sinks": ["own_sink:Mine"]})
    own, package = own_code(sweep.trials, sweep.spec.output), zfscale.__path__[0]
    assert own == {"own_sink:Mine": "output.sinks", **dict.fromkeys(names[1:], "train.objective")}
    assert code(own) == [package, *(str(tmp_path / name) for name in ("own_module.py", "own_package", "own_sink.py"))]
    assert code(own_code(sweep.trials[:1], OutputSpec())) == [package]
    assert {"model.name", "stream.kind", "method.name", "optimizer.name", "train.objective"} == set(PLACES)


def test_a_node_that_sees_the_results_and_the_objectives_has_no_complaint(tmp_path):
    with held(storage(tmp_path, "s")) as run:
        assert look_around(str(tmp_path), "s", run, NOWHERE, {"math:hypot": "train.objective"}) is None


def test_a_node_that_does_not_see_the_results_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(node, "seen", lambda there, run: bool(there.read(".lock")))
    (tmp_path / "s").mkdir()
    problem = look_around(str(tmp_path), "s", "run", NOWHERE, {})
    assert problem is not None
    assert "is not shared: it must be a directory that all nodes see" in problem


def test_a_node_that_cannot_import_the_user_s_code_says_so(tmp_path):
    told = look_around(str(tmp_path), "s", "run", NOWHERE, {"nowhere:Mine": "output.sinks"})
    assert told == "output.sinks: 'nowhere:Mine' cannot be imported: No module named 'nowhere'"


def test_a_relative_place_of_results_is_made_absolute(sweep_of, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert where(sweep_of(output={"dir": "r"})) == (str(tmp_path / "r"), "small")
    assert where(sweep_of(output={"dir": "s3://bucket/r"})) == ("s3://bucket/r", "small")


def test_an_address_where_nothing_listens_is_told_at_once():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert answers(f"ray://127.0.0.1:{port}") is None
    with pytest.raises(ZfscaleError, match=f"--address 127.0.0.1:{port}: no answer there"):
        answers(f"127.0.0.1:{port}")
    assert answers("auto") is None


def test_a_relative_place_is_no_place_for_a_cluster_seen_from_outside(sweep_of):
    from zfscale.sweep.remote_driver import run

    with pytest.raises(ZfscaleError, match="is relative; with ray://head:10001"):
        run(sweep_of(output={"dir": "r"}), retry_failed=False, address="ray://head:10001")


@pytest.mark.parametrize(
    ("slurm", "named", "expected"),
    [("n7", "alpha", "n7"), (None, "alpha", "alpha"), (None, "10.0.0.1", socket.gethostname())],
)
def test_the_name_of_a_node(monkeypatch, slurm, named, expected):
    monkeypatch.delenv("SLURMD_NODENAME", raising=False)
    if slurm:
        monkeypatch.setenv("SLURMD_NODENAME", slurm)
    me = {"NodeID": "me", "NodeName": named, "NodeManagerAddress": "10.0.0.1"}
    context = SimpleNamespace(get_node_id=lambda: "me")
    monkeypatch.setattr(node.ray, "nodes", lambda: [{"NodeID": "other"}, me])
    monkeypatch.setattr(node.ray, "get_runtime_context", lambda: context)
    assert node.node_name() == expected


def test_the_modules_of_the_driver_are_looked_for_after_those_of_the_node(monkeypatch):
    monkeypatch.setattr(sys, "path", ["/own", "/both"])
    node.extend_path(["/both", "/driver"])
    assert sys.path == ["/own", "/both", "/driver"]


@pytest.mark.parametrize(
    ("asked", "node", "trials"),
    [
        ({"gpus": 0.5}, {"CPU": 8, "GPU": 1}, 2),
        ({"gpus": 0.1}, {"CPU": 16, "GPU": 1}, 10),
        ({"gpus": 0.6}, {"CPU": 8, "GPU": 2}, 2),  # and not three: none is of two GPUs
        ({"gpus": 2, "workers": 2}, {"CPU": 8, "GPU": 4}, 1),
        ({"cpus": 3}, {"CPU": 8}, 2),
    ],
)
def test_there_is_room_for_so_many_trials_at_a_time(sweep_of, asked, node, trials):
    resources = sweep_of(resources=asked).spec.resources
    assert room(resources, [node]) == trials
    one = bundles(resources).bundles[0]
    assert (one["CPU"], one.get("GPU", 0)) == (asked.get("cpus", 1), asked.get("gpus", 0))
