"""The manifests hold to KubeRay's and Kubernetes' schemas, to the rules between fields, and to pod security."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import kuberay_rules as rules
import kubernetes_validate
import pytest

needs_schemas = pytest.mark.skipif(
    "ZFSCALE_KUBERAY_SCHEMAS" not in os.environ, reason="ZFSCALE_KUBERAY_SCHEMAS names no directory of KubeRay schemas"
)
overlays = pytest.mark.parametrize("overlay", ["cpu", "gpu"])
Render = Callable[..., dict[str, Any]]
JOB = "RayJob/zfscale"
CORE = ["ConfigMap/zfscale-sweep", "PersistentVolumeClaim/zfscale-results", "NetworkPolicy/zfscale"]
CORE += ["NetworkPolicy/zfscale-head"]
ABSENT = object()


def change(document: Any, path: str, value: Any) -> None:
    """Set, or remove, what a dotted path names; numbers count list items."""
    *parents, last = path.split(".")
    for key in parents:
        document = document[int(key)] if isinstance(document, list) else document[key]
    if value is ABSENT:
        del document[last]
    else:
        document[int(last) if isinstance(document, list) else last] = value


@overlays
@needs_schemas
def test_kuberay_knows_every_field(render: Render, overlay: str) -> None:
    job = render(overlay)[JOB]
    assert rules.mistakes(job, rules.schema("RayJob")) == []
    cluster = {"apiVersion": "ray.io/v1", "kind": "RayCluster", "metadata": {}, "spec": job["spec"]["rayClusterSpec"]}
    assert rules.mistakes(cluster, rules.schema("RayCluster")) == []


HEAD = "spec.rayClusterSpec.headGroupSpec.template.spec"
WORKER = "spec.rayClusterSpec.workerGroupSpecs.0.template.spec"


@needs_schemas
@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("spec.backofLimit", 3, "'backofLimit' was unexpected"),
        ("spec.rayClusterSpec.enableInTreeAutoScaling", True, "'enableInTreeAutoScaling' was unexpected"),
        ("spec.rayClusterSpec.authOptions.mod", "token", "'mod' was unexpected"),
        (f"{HEAD}.containers.0.securityContext.readOnlyRootFileSystem", True, "'readOnlyRootFileSystem' was"),
        (f"{WORKER}.tolerations", [{"key": "a", "operater": "Exists"}], "'operater' was unexpected"),
        ("spec.ttlSecondsAfterFinished", "300", "'300' is not of type 'integer'"),
        ("spec.rayClusterSpec.headGroupSpec.rayStartParams.num-cpus", 0, "0 is not of type 'string'"),
        ("spec.rayClusterSpec.authOptions.mode", "password", "'password' is not one of"),
        ("spec.rayClusterSpec.autoscalerOptions.version", "v3", "'v3' is not one of"),
        (f"{HEAD}.containers.0.resources.limits.memory", ["8Gi"], "is not valid under any of"),
        (f"{HEAD}.containers", ABSENT, "'containers' is a required property"),
    ],
)
def test_a_broken_job_fails_the_schema(render: Render, path: str, value: Any, message: str) -> None:
    job = render()[JOB]
    change(job, path, value)
    found = rules.mistakes(job, rules.schema("RayJob"))
    assert len(found) == 1
    assert message in found[0]


@needs_schemas
@pytest.mark.parametrize("memory", [8, "8Gi"])
def test_a_quantity_is_an_integer_or_a_string(render: Render, memory: int | str) -> None:
    job = render()[JOB]
    change(job, f"{HEAD}.containers.0.resources.limits.memory", memory)
    assert rules.mistakes(job, rules.schema("RayJob")) == []


@overlays
def test_fields_agree(render: Render, overlay: str) -> None:
    assert list(rules.conflicts(render(overlay)[JOB])) == []


DELETE_WORKERS = {"policy": "DeleteWorkers", "condition": {"jobStatus": "SUCCEEDED", "ttlSeconds": 9}}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"spec.shutdownAfterJobFinishes": False}, "ttlSecondsAfterFinished needs"),
        ({"spec.deletionStrategy": {"deletionRules": [DELETE_WORKERS | {"policy": "DeleteSelf"}]}}, "excludes"),
        ({"spec.deletionStrategy": {"onSuccess": {"policy": "DeleteWorkers"}}}, "DeleteWorkers is invalid"),
        ({f"{HEAD}.restartPolicy": "Always"}, "head: autoscaler v2 needs restartPolicy Never"),
        ({f"{WORKER}.restartPolicy": "OnFailure"}, "cpu: autoscaler v2 needs restartPolicy Never"),
        ({"spec.entrypoint": "python train.py"}, "backoffLimit needs an entrypoint that starts or resumes"),
        ({"spec.entrypoint": "zfscale run a.yaml --address auto"}, "backoffLimit needs an entrypoint"),
        ({"spec.entrypoint": "zfscale run a --address auto --set output.dir=/results"}, "failed trials again, in vain"),
        ({"spec.entrypoint": "zfscale run a --address auto --set output.dir=/tmp/x"}, "not on a shared volume"),
        ({f"{WORKER}.volumes.0": {"name": "results", "emptyDir": {}}}, "cpu: results in /results are not"),
        ({"spec.rayClusterSpec.authOptions": ABSENT}, "no token authentication"),
        ({"spec.rayClusterSpec.authOptions.mode": "disabled"}, "no token authentication"),
        ({"spec.rayClusterSpec.authOptions.enableK8sTokenAuth": True}, "cannot use enableK8sTokenAuth"),
        ({"spec.rayClusterSpec.rayVersion": "2.40.0"}, "token authentication needs rayVersion"),
        ({"spec.rayClusterSpec.workerGroupSpecs.0.minReplicas": 9}, "cpu: replicas are not between"),
        ({"metadata.name": "zfscale_x"}, "no DNS label"),
        ({"metadata.name": "z" * 48}, "no DNS label"),
    ],
)
def test_fields_that_disagree_are_found(render: Render, changes: dict[str, Any], message: str) -> None:
    job = render()[JOB]
    for path, value in changes.items():
        change(job, path, value)
    assert any(message in found for found in rules.conflicts(job))


def test_results_in_a_bucket_need_no_volume(render: Render) -> None:
    job = render(ARGS="--set output.dir=s3://bucket/x")[JOB]
    change(job, f"{WORKER}.volumes.0", {"name": "results", "emptyDir": {}})
    assert list(rules.conflicts(job)) == []


BUCKET = {"RESULTS": "s3://bucket/x", "SERVICE_ACCOUNT": "trainer"}


@overlays
@needs_schemas
def test_with_a_bucket_there_is_no_volume_and_all_else_holds(render: Render, overlay: str) -> None:
    objects, plain = render(overlay, **BUCKET), render(overlay)
    assert set(objects) == {name for name in plain if "PersistentVolume" not in name} | {"NetworkPolicy/zfscale-bucket"}
    job = objects[JOB]
    assert rules.mistakes(job, rules.schema("RayJob")) == list(rules.conflicts(job)) == []
    assert job["spec"]["entrypoint"] == plain[JOB]["spec"]["entrypoint"].replace("=/results", "=s3://bucket/x")
    for name, pod in rules.pods(job).items():
        assert list(rules.weaknesses(pod["spec"])) == [], name
        before = rules.pods(plain[JOB])[name]["spec"]
        if name == "submitter":
            assert pod["spec"] == before
            continue
        assert pod["spec"]["volumes"] == [v for v in before["volumes"] if v["name"] != "results"]
        container, mounted = pod["spec"]["containers"][0], before["containers"][0]["volumeMounts"]
        assert container["volumeMounts"] == [m for m in mounted if m["name"] != "results"]
        assert container["envFrom"] == [{"secretRef": {"name": "zfscale-bucket", "optional": True}}]
        assert pod["spec"]["serviceAccountName"] == "trainer"
        full = {"apiVersion": "v1", "kind": "Pod", **pod}
        kubernetes_validate.validate(full, kubernetes_validate.latest_version(), strict=True)
    policy = objects["NetworkPolicy/zfscale-bucket"]
    kubernetes_validate.validate(policy, kubernetes_validate.latest_version(), strict=True)


@overlays
def test_without_a_bucket_pods_have_no_way_to_credentials(render: Render, overlay: str) -> None:
    objects = render(overlay)
    assert "NetworkPolicy/zfscale-bucket" not in objects
    for pod in rules.pods(objects[JOB]).values():
        assert "envFrom" not in pod["spec"]["containers"][0]
        assert "serviceAccountName" not in pod["spec"]


@overlays
def test_pods_are_locked_down(render: Render, overlay: str) -> None:
    job = render(overlay)[JOB]
    pods = rules.pods(job)
    assert set(pods) == {"submitter", "head", "cpu"} | ({"gpu"} if overlay == "gpu" else set())
    for name, pod in pods.items():
        assert list(rules.weaknesses(pod["spec"])) == [], name
        assert pod["spec"].get("automountServiceAccountToken", True) is (name == "head")  # the autoscaler's
    assert list(rules.unconfined(job["spec"]["rayClusterSpec"]["autoscalerOptions"])) == []
    assert job["spec"]["rayClusterSpec"]["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (f"{HEAD}.securityContext", ABSENT, "may run as root"),
        (f"{HEAD}.securityContext.runAsNonRoot", False, "may run as root"),
        (f"{HEAD}.securityContext.seccompProfile.type", "Unconfined", "has no seccomp profile"),
        (f"{HEAD}.containers.0.securityContext", ABSENT, "ray-head may gain privileges"),
        (f"{HEAD}.containers.0.securityContext.privileged", True, "ray-head may gain privileges"),
        (f"{HEAD}.containers.0.securityContext.capabilities.add", ["SYS_PTRACE"], "ray-head keeps capabilities"),
        (f"{HEAD}.containers.0.securityContext.readOnlyRootFilesystem", False, "ray-head writes to its root"),
        (f"{HEAD}.containers.0.resources.requests", ABSENT, "ray-head has no requests"),
        (f"{HEAD}.containers.0.resources.limits.memory", ABSENT, "ray-head has no limits"),
        (f"{HEAD}.hostNetwork", True, "uses hostNetwork"),
        (f"{HEAD}.volumes.0", {"name": "disk", "hostPath": {"path": "/"}}, "mounts hostPath disk"),
    ],
)
def test_a_weakened_pod_is_found(render: Render, path: str, value: Any, message: str) -> None:
    job = render()[JOB]
    change(job, path, value)
    assert message in list(rules.weaknesses(rules.pods(job)["head"]["spec"]))


@overlays
def test_kubernetes_knows_the_core_objects_and_the_pods(render: Render, overlay: str) -> None:
    objects = render(overlay)
    assert set(objects) == {JOB, *CORE}
    pods = [{"apiVersion": "v1", "kind": "Pod", **pod} for pod in rules.pods(objects[JOB]).values()]
    for document in [*pods, *(objects[name] for name in CORE)]:
        kubernetes_validate.validate(document, kubernetes_validate.latest_version(), strict=True)


@pytest.mark.parametrize(
    ("name", "path", "value"),
    [
        ("ConfigMap/zfscale-sweep", "data.sweep", {"a": 1}),
        ("PersistentVolumeClaim/zfscale-results", "spec.accessMode", ["ReadWriteMany"]),
        ("PersistentVolumeClaim/zfscale-results", "spec.accessModes", "ReadWriteMany"),
        ("NetworkPolicy/zfscale", "spec.podSelecter", {}),
        ("NetworkPolicy/zfscale", "spec.ingress.0.from.0.podSelector.matchLabel", {}),
        ("NetworkPolicy/zfscale-head", "spec.ingress.0.ports.0.port", [8265]),
        ("NetworkPolicy/zfscale-head", "metadata.label", {}),
    ],
)
def test_a_broken_core_object_is_refused(render: Render, name: str, path: str, value: Any) -> None:
    document = render()[name]
    change(document, path, value)
    with pytest.raises(kubernetes_validate.ValidationError, match=path.rpartition(".")[2] if "." in path else path):
        kubernetes_validate.validate(document, kubernetes_validate.latest_version(), strict=True)
