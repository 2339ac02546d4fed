"""What of a cluster is looked at before trials start; its nodes are given, no Ray runs."""

from __future__ import annotations

import socket
import sys
from types import SimpleNamespace

import pytest

import zfscale
from tests.conftest import sweep_file
from zfscale import spec
from zfscale.errors import SpecError, ZfscaleError
from zfscale.storage import storage
from zfscale.sweep import cluster, worker
from zfscale.sweep.cluster import answers, check_resources, code, look_around, where
from zfscale.sweep.hold import held


@pytest.fixture
def sweep_of(tmp_path, tiny_vit, image_folder):
    """A sweep with these blocks."""
    return lambda **blocks: spec.load(sweep_file(tmp_path / "s.yaml", tiny_vit, image_folder, **blocks))


@pytest.fixture
def nodes(monkeypatch):
    """Set the resources of the nodes there are, and of those an autoscaler may add."""

    def set_nodes(there, grows=()):
        alive = [{"Alive": True, "Resources": resources} for resources in there]
        monkeypatch.setattr(cluster.ray, "nodes", lambda: [*alive, {"Alive": False, "Resources": {"CPU": 99}}])
        monkeypatch.setattr(cluster, "_to_be_started", lambda: list(grows))

    return set_nodes


FITS = [
    ({"cpus": 2}, [{"CPU": 1}, {"CPU": 2}], ()),
    ({"cpus": 1, "gpus": 0.5}, [{"CPU": 4}, {"CPU": 1, "GPU": 1}], ()),
    ({"cpus": 1, "gpus": 1}, [{"CPU": 1}], [{"CPU": 8, "GPU": 1}]),  # a GPU group that starts from 0
]
DOES_NOT = [
    ({"cpus": 3}, [{"CPU": 2}, {"CPU": 2}], (), "resources.cpus: 3 asked for each trial; the largest node has 2"),
    ({"cpus": 3}, [{"CPU": 2}], (), "resources.cpus: 3 asked for each trial; there are 2"),
    ({"cpus": 1, "gpus": 2}, [{"CPU": 2}], [{"CPU": 8, "GPU": 1}], "resources.gpus: 2 asked .* largest node has 1"),
    ({"cpus": 4, "gpus": 1}, [{"CPU": 4}, {"CPU": 1, "GPU": 1}], (), "no node has both 4 cpus and 1 gpus"),
]


@pytest.mark.parametrize(("asked", "there", "grows"), FITS)
def test_a_trial_fits_one_node(sweep_of, nodes, asked, there, grows):
    nodes(there, grows)
    assert check_resources(sweep_of(resources=asked)) is None


@pytest.mark.parametrize(("asked", "there", "grows", "message"), DOES_NOT)
def test_a_trial_that_fits_no_node_is_refused(sweep_of, nodes, asked, there, grows, message):
    nodes(there, grows)
    with pytest.raises(SpecError, match=message):
        check_resources(sweep_of(resources=asked))


def test_nodes_are_sent_the_package_and_the_user_s_own_modules(sweep_of, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "own_module.py").write_text("def loss(x, y): return 0.0\n")
    (tmp_path / "own_package").mkdir()
    (tmp_path / "own_package" / "losses.py").write_text("def loss(x, y): return 0.0\n")
    names = ["cross_entropy", "own_module:loss", "own_package.losses:loss", "torch.nn.functional:cross_entropy"]
    trials = sweep_of(space={"train.objective": {"grid": names}}).trials
    package = zfscale.__path__[0]
    assert code(trials) == [package, str(tmp_path / "own_module.py"), str(tmp_path / "own_package")]
    assert code(trials[:1]) == [package]


def test_a_node_that_sees_the_results_and_the_objectives_has_no_complaint(tmp_path):
    with held(storage(tmp_path, "s")) as run:
        assert look_around(str(tmp_path), "s", run, [], ["cross_entropy", "math:hypot"]) is None


def test_a_node_that_does_not_see_the_results_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(cluster, "seen", lambda there, run: bool(there.read(".lock")))
    (tmp_path / "s").mkdir()
    assert "is not shared: it must be a directory that all nodes see" in look_around(str(tmp_path), "s", "run", [], [])


def test_a_node_that_cannot_import_an_objective_says_so(tmp_path):
    assert "No module named 'nowhere'" in look_around(str(tmp_path), "s", "run", [], ["nowhere:loss"])


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
    from zfscale.sweep.client import run

    with pytest.raises(ZfscaleError, match="is relative; with ray://head:10001"):
        run(sweep_of(output={"dir": "r"}), False, "ray://head:10001")


@pytest.mark.parametrize(
    ("slurm", "named", "expected"),
    [("n7", "alpha", "n7"), (None, "alpha", "alpha"), (None, "10.0.0.1", socket.gethostname())],
)
def test_the_name_of_a_node(monkeypatch, slurm, named, expected):
    monkeypatch.delenv("SLURMD_NODENAME", raising=False)
    if slurm:
        monkeypatch.setenv("SLURMD_NODENAME", slurm)
    node = {"NodeID": "me", "NodeName": named, "NodeManagerAddress": "10.0.0.1"}
    context = SimpleNamespace(get_node_id=lambda: "me")
    monkeypatch.setattr(worker.ray, "nodes", lambda: [{"NodeID": "other"}, node])
    monkeypatch.setattr(worker.ray, "get_runtime_context", lambda: context)
    assert worker.node_name() == expected


def test_the_modules_of_the_driver_are_looked_for_after_those_of_the_node(monkeypatch):
    monkeypatch.setattr(sys, "path", ["/own", "/both"])
    cluster.extend_path(["/both", "/driver"])
    assert sys.path == ["/own", "/both", "/driver"]
