"""Whom the network policies let in and out, and what of a sweep is its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import kuberay_rules as rules
import pytest
import yaml
from programs import REPOSITORY
from ray.autoscaler._private.kuberay.autoscaling_config import _derive_autoscaling_config_from_ray_cr
from ray.autoscaler._private.util import validate_config

Render = Callable[..., dict[str, Any]]
Labels = dict[str, str]
OWN = {"app.kubernetes.io/instance": "zfscale-vit-classil"}
HEAD = OWN | {"app.kubernetes.io/component": "head"}
WORKER = OWN | {"app.kubernetes.io/component": "worker"}
OTHER = HEAD | {"app.kubernetes.io/instance": "zfscale-other"}
OPERATOR = {"app.kubernetes.io/name": "kuberay-operator", "app.kubernetes.io/component": "kuberay-operator"}
DNS = {"k8s-app": "kube-dns"}


def matches(selector: dict[str, Any] | None, labels: Labels) -> bool:
    assert set(selector or {}) <= {"matchLabels"}, "this evaluator knows matchLabels alone"
    return (selector or {}).get("matchLabels", {}).items() <= labels.items()


def allowed(objects: dict[str, Any], way: str, pod: Labels, peer: Labels, port: int, namespace: str = "own") -> bool:
    """Whether `pod` takes from ("ingress") or may reach ("egress") a pod labelled `peer`, by what Kubernetes says of
    policies: those that select a pod close it and add up; a rule without peers, or ports, means all."""
    side = "from" if way == "ingress" else "to"
    policies = [o["spec"] for o in objects.values() if o["kind"] == "NetworkPolicy"]
    selecting = [p for p in policies if way.title() in p["policyTypes"] and matches(p["podSelector"], pod)]

    def admits(rule: dict[str, Any]) -> bool:
        if rule.get("ports") and port not in [p["port"] for p in rule["ports"]]:
            return False
        return side not in rule or any(
            "ipBlock" not in p
            and matches(p.get("podSelector"), peer)
            and ("namespaceSelector" in p or namespace == "own")
            and matches(p.get("namespaceSelector"), {"kubernetes.io/metadata.name": namespace})
            for p in rule[side]
        )

    return not selecting or any(admits(rule) for policy in selecting for rule in policy.get(way, []))


@pytest.mark.parametrize(
    ("pod", "peer", "port", "namespace", "expected"),
    [
        (HEAD, WORKER, 6379, "own", True),
        (WORKER, HEAD, 40000, "own", True),
        (HEAD, OWN | {"app.kubernetes.io/component": "submitter"}, 8265, "own", True),
        (HEAD, OPERATOR, 8265, "kuberay-system", True),
        (HEAD, OPERATOR, 6379, "kuberay-system", False),
        (WORKER, OPERATOR, 8265, "kuberay-system", False),
        (HEAD, OTHER, 6379, "own", False),
        (WORKER, OTHER, 8265, "own", False),
        (HEAD, HEAD, 6379, "elsewhere", False),
        (HEAD, {}, 8265, "own", False),
        (HEAD, {}, 10001, "elsewhere", False),
    ],
)
def test_who_gets_in(render: Render, pod: Labels, peer: Labels, port: int, namespace: str, expected: bool) -> None:
    assert allowed(render(), "ingress", pod, peer, port, namespace) is expected


@pytest.mark.parametrize(
    ("pod", "peer", "port", "namespace", "expected"),
    [
        (WORKER, HEAD, 6379, "own", True),
        (WORKER, DNS, 53, "kube-system", True),
        (WORKER, DNS, 53, "elsewhere", False),
        (WORKER, {"k8s-app": "node-local-dns"}, 53, "kube-system", True),
        (WORKER, {"k8s-app": "other"}, 53, "kube-system", False),
        (WORKER, {"dns.operator.openshift.io/daemonset-dns": "default"}, 5353, "openshift-dns", True),
        (WORKER, {}, 5353, "elsewhere", False),
        (WORKER, {}, 443, "elsewhere", True),
        (WORKER, {}, 80, "elsewhere", False),
        (WORKER, {}, 6443, "elsewhere", False),
        (HEAD, {}, 6443, "elsewhere", True),
        (WORKER, OTHER, 6379, "own", False),
    ],
)
def test_who_may_be_reached(
    render: Render, pod: Labels, peer: Labels, port: int, namespace: str, expected: bool
) -> None:
    assert allowed(render(), "egress", pod, peer, port, namespace) is expected


def reached(objects: dict[str, Any], pod: Labels) -> set[tuple[str, int]]:
    """The single addresses, with ports, that `pod` may reach."""
    policies = [o["spec"] for o in objects.values() if o["kind"] == "NetworkPolicy"]
    rules_of = [rule for p in policies if matches(p["podSelector"], pod) for rule in p["egress"]]
    return {
        (peer["ipBlock"]["cidr"], port["port"])
        for rule in rules_of
        for peer in rule.get("to", [])
        if "ipBlock" in peer
        for port in rule["ports"]
    }


def test_credentials_of_the_cloud_are_in_reach_for_a_bucket_alone(render: Render) -> None:
    names = {("169.254.20.10/32", 53)}
    servers = {("169.254.169.254/32", 80), ("169.254.170.23/32", 80)}
    servers |= {("169.254.169.252/32", 988), ("169.254.169.254/32", 988)}
    for pod in (HEAD, WORKER):
        assert reached(render(), pod) == names
        assert reached(render(RESULTS="gs://bucket/x"), pod) == names | servers
    assert reached(render(RESULTS="gs://bucket/x"), OTHER) == set()


def test_without_policies_everyone_gets_in(render: Render) -> None:
    objects = {name: o for name, o in render().items() if o["kind"] != "NetworkPolicy"}
    assert allowed(objects, "ingress", HEAD, {}, 8265)


def test_every_pod_carries_the_labels_that_the_policies_select(render: Render) -> None:
    labels = {name: pod["metadata"]["labels"] for name, pod in rules.pods(render()["RayJob/zfscale"]).items()}
    assert labels.pop("submitter") == OWN | {"app.kubernetes.io/component": "submitter"}
    assert labels == {"head": HEAD, "cpu": WORKER, "gpu": WORKER}


def test_the_job_runs_the_file_as_it_is(render: Render) -> None:
    objects = render()
    config, head = objects["ConfigMap/zfscale-sweep"], rules.pods(objects["RayJob/zfscale"])["head"]["spec"]
    assert config["data"] == {"sweep.yaml": (REPOSITORY / "sweeps/vit_classil.yaml").read_text()}
    assert {"name": "sweep", "configMap": {"name": config["metadata"]["name"]}} in head["volumes"]
    assert objects["RayJob/zfscale"]["spec"]["entrypoint"].startswith("zfscale run /etc/zfscale/sweep.yaml ")
    assert {"name": "sweep", "mountPath": "/etc/zfscale", "readOnly": True} in head["containers"][0]["volumeMounts"]


def test_sweeps_share_the_volume_and_nothing_else(render: Render, tmp_path: Path) -> None:
    other = tmp_path / "other.yaml"
    other.write_text("name: Other.sweep_2\n")
    sweeps = ("sweeps/vit_classil.yaml", str(other))
    first, second = ({f"{o['kind']}/{o['metadata']['name']}" for o in render(sweep=s).values()} for s in sweeps)
    assert first & second == {"PersistentVolumeClaim/zfscale-results"}
    assert "RayJob/zfscale-other-sweep-2" in second


def test_image_arguments_and_versions(render: Render) -> None:
    plain = render("cpu")["RayJob/zfscale"]
    job = render("gpu", IMAGE="host:5000/me/zf", ARGS="--retry-failed --set seed=1")["RayJob/zfscale"]
    assert job["spec"]["entrypoint"] == plain["spec"]["entrypoint"] + " --retry-failed --set seed=1"
    images = [[p["spec"]["containers"][0]["image"] for p in rules.pods(j).values()] for j in (plain, job)]
    assert images == [["zfscale:cpu"] * 3, ["host:5000/me/zf:gpu"] * 4]
    lock = (REPOSITORY / "requirements.lock").read_text().splitlines()
    assert f"ray=={job['spec']['rayClusterSpec']['rayVersion']}" in lock


def test_the_wandb_key_is_a_secret_that_may_be_absent(render: Render) -> None:
    for name, pod in rules.pods(render()["RayJob/zfscale"]).items():
        env = {item["name"]: item for item in pod["spec"]["containers"][0]["env"]}
        secret = {"secretKeyRef": {"name": "zfscale-wandb", "key": "api-key", "optional": True}}
        assert env.get("WANDB_API_KEY") == (
            None if name == "submitter" else {"name": "WANDB_API_KEY", "valueFrom": secret}
        )


def test_rays_autoscaler_reads_groups_that_start_from_none(render: Render) -> None:
    spec = render("gpu")["RayJob/zfscale"]["spec"]["rayClusterSpec"]
    config = _derive_autoscaling_config_from_ray_cr({"metadata": {"name": "a", "namespace": "b"}, "spec": spec})
    validate_config(yaml.safe_load(yaml.safe_dump(config)))
    types = {
        name: (kind["resources"], kind["min_workers"], kind["max_workers"])
        for name, kind in config["available_node_types"].items()
    }
    memory = 2**30
    assert types == {
        "headgroup": ({"CPU": 0, "memory": 8 * memory}, 0, 0),
        "cpu": ({"CPU": 4, "memory": 16 * memory}, 0, 8),
        "gpu": ({"CPU": 8, "GPU": 1, "memory": 32 * memory}, 0, 4),
    }
