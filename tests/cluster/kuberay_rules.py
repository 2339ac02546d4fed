"""What KubeRay and a careful cluster ask of a RayJob: its schema, the rules between fields, the pods' security."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema

Json = dict[str, Any]


def schema(kind: str) -> Json:
    """KubeRay's own schema of `kind`, closed; it lies in the directory that ZFSCALE_KUBERAY_SCHEMAS names."""
    path = Path(os.environ["ZFSCALE_KUBERAY_SCHEMAS"]) / f"{kind.lower()}.v1.schema.json"
    return closed(json.loads(path.read_text()))


def closed(node: Any) -> Any:
    """The schema with every object that lists its properties closed, and int-or-string in JSON Schema's words."""
    if isinstance(node, list):
        return [closed(item) for item in node]
    if not isinstance(node, dict):
        return node
    if "properties" not in node or not isinstance(node["properties"], dict):
        out = {key: closed(value) for key, value in node.items()}
    else:
        out = {key: closed(value) for key, value in node.items() if key != "properties"}
        out["properties"] = {name: closed(value) for name, value in node["properties"].items()}
        if not node.get("x-kubernetes-preserve-unknown-fields"):
            out.setdefault("additionalProperties", False)
    if node.get("x-kubernetes-int-or-string"):
        out.setdefault("anyOf", [{"type": "integer"}, {"type": "string"}])
    return out


def mistakes(document: Json, of: Json) -> list[str]:
    """What the schema has against the document: dotted path and message."""
    found = jsonschema.Draft7Validator(of).iter_errors(document)
    return [f"{'.'.join(map(str, error.absolute_path))}: {error.message}" for error in found]


def pods(job: Json) -> dict[str, Json]:
    """The pod templates of a job by who runs in them."""
    cluster = job["spec"]["rayClusterSpec"]
    groups = {group["groupName"]: group["template"] for group in cluster["workerGroupSpecs"]}
    return {
        "submitter": job["spec"]["submitterPodTemplate"],
        "head": cluster["headGroupSpec"]["template"],
        **groups,
    }


def conflicts(job: Json) -> Iterator[str]:
    """What fields say against each other, which the operator, or nobody, would refuse."""
    spec, cluster = job["spec"], job["spec"]["rayClusterSpec"]
    if not re.fullmatch(r"[a-z]([-a-z0-9]{0,45}[a-z0-9])?", job["metadata"]["name"]):
        yield "the name is no DNS label of at most 47 characters"
    shutdown, strategy = spec.get("shutdownAfterJobFinishes"), spec.get("deletionStrategy", {})
    if spec.get("ttlSecondsAfterFinished") and not shutdown:
        yield "ttlSecondsAfterFinished needs shutdownAfterJobFinishes"
    if strategy.get("deletionRules") and shutdown:
        yield "shutdownAfterJobFinishes excludes deletionRules"
    if "DeleteWorkers" in json.dumps(strategy) and cluster.get("enableInTreeAutoscaling"):
        yield "DeleteWorkers is invalid with autoscaling"
    yield from _autoscaling(job)
    yield from _authentication(cluster)
    if spec.get("backoffLimit"):
        yield from _resumes(job)


def _autoscaling(job: Json) -> Iterator[str]:
    cluster = job["spec"]["rayClusterSpec"]
    v2 = cluster.get("autoscalerOptions", {}).get("version") == "v2"
    for name, pod in pods(job).items():
        if v2 and name != "submitter" and pod["spec"].get("restartPolicy", "Never") != "Never":
            yield f"{name}: autoscaler v2 needs restartPolicy Never"
    for group in cluster["workerGroupSpecs"]:
        if not group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]:
            yield f"{group['groupName']}: replicas are not between minReplicas and maxReplicas"


def _authentication(cluster: Json) -> Iterator[str]:
    options = cluster.get("authOptions", {})
    if options.get("mode") != "token":
        yield "no token authentication"
    if options.get("enableK8sTokenAuth"):
        yield "a RayJob cannot use enableK8sTokenAuth"
    if tuple(map(int, cluster.get("rayVersion", "0.0").split(".")[:2])) < (2, 52):
        yield "token authentication needs rayVersion 2.52"


def _resumes(job: Json) -> Iterator[str]:
    """A retry is a new cluster: what the old one did must lie where the new one, all of it, looks."""
    entrypoint = job["spec"]["entrypoint"]
    out = re.findall(r"--set output\.dir=(\S+)", entrypoint)
    if not entrypoint.startswith("zfscale run ") or "--address auto" not in entrypoint or not out:
        yield "backoffLimit needs an entrypoint that starts or resumes"
        return
    if "--exit-zero" not in entrypoint:
        yield "backoffLimit would start a sweep with failed trials again, in vain"
    for name, pod in pods(job).items():
        if name != "submitter" and "://" not in out[-1] and not _claim(pod["spec"], out[-1]):
            yield f"{name}: results in {out[-1]} are not on a shared volume"


def _claim(pod: Json, path: str) -> str | None:
    """The volume claim mounted at a path of the Ray container."""
    claims = {v["name"]: v["persistentVolumeClaim"] for v in pod["volumes"] if "persistentVolumeClaim" in v}
    for mount in pod["containers"][0]["volumeMounts"]:
        if mount["mountPath"] == path and mount["name"] in claims:
            return claims[mount["name"]]["claimName"]
    return None


def weaknesses(pod: Json) -> Iterator[str]:
    """What keeps a pod from the "restricted" security standard, a read-only root and bounded resources."""
    security = pod.get("securityContext", {})
    if not security.get("runAsNonRoot") or not security.get("runAsUser"):
        yield "may run as root"
    if security.get("seccompProfile") != {"type": "RuntimeDefault"}:
        yield "has no seccomp profile"
    for name in ("hostNetwork", "hostPID", "hostIPC"):
        if pod.get(name):
            yield f"uses {name}"
    yield from (f"mounts hostPath {v['name']}" for v in pod.get("volumes", []) if "hostPath" in v)
    for container in [*pod.get("initContainers", []), *pod["containers"]]:
        yield from (f"{container['name']} {what}" for what in unconfined(container))


def unconfined(container: Json) -> Iterator[str]:
    """The same of one container, or of the autoscaler's options."""
    security = container.get("securityContext", {})
    if security.get("allowPrivilegeEscalation") is not False or security.get("privileged"):
        yield "may gain privileges"
    if security.get("capabilities") != {"drop": ["ALL"]}:
        yield "keeps capabilities"
    if not security.get("readOnlyRootFilesystem"):
        yield "writes to its root"
    for bound in ("requests", "limits"):
        if {"cpu", "memory"} - set(container.get("resources", {}).get(bound, {})):
            yield f"has no {bound}"
