"""No file of a cluster holds a secret or trusts remote code, and every one asks for Ray's token."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import yaml
from programs import REPOSITORY

FILES = sorted(path for path in (REPOSITORY / "cluster").rglob("*") if path.is_file())
LOOKS_SECRET = {
    "private key": r"-----BEGIN [A-Z ]*PRIVATE KEY",
    "AWS key": r"\b(AKIA|ASIA)[A-Z0-9]{16}\b",
    "Hugging Face token": r"\bhf_[A-Za-z0-9]{20,}",
    "hexadecimal key": r"\b[0-9a-f]{32,}\b",
    "value of a secret": r"(?i)\b\w*(api_?key|auth_?token|password|secret)\w*[\"']?\s*[:=]\s*[\"']?[A-Za-z0-9+/_-]{8,}",
    "remote code": r"trust_remote_code",
}


def leaks(text: str) -> list[str]:
    """What in a text looks like a secret, or trusts remote code; a path or a reference is neither."""
    text = re.sub(r"~/\.ray/auth_token", "", text)
    return [what for what, pattern in LOOKS_SECRET.items() if re.search(pattern, text)]


def literals(node: Any) -> Iterator[str]:
    """Names of environment variables that hold a secret as a literal."""
    if isinstance(node, dict):
        if re.search(r"KEY|TOKEN|SECRET|PASSWORD", str(node.get("name", ""))) and "value" in node:
            yield node["name"]
        for value in node.values():
            yield from literals(value)
    elif isinstance(node, list):
        for item in node:
            yield from literals(item)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_a_file_holds_no_secret(path: Any) -> None:
    assert leaks(path.read_text()) == []


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("-----BEGIN OPENSSH PRIVATE KEY-----", "private key"),
        ("aws: AKIAABCDEFGHIJKLMNOP", "AWS key"),
        ("token: hf_abcdefghijklmnopqrstuv", "Hugging Face token"),
        (f"x: {'0123456789abcdef' * 4}", "hexadecimal key"),
        ("export WANDB_API_KEY=abcdefghij", "value of a secret"),
        ("RAY_AUTH_TOKEN: 'abcdefghij'", "value of a secret"),
        ("model: {trust_remote_code: true}", "remote code"),
    ],
)
def test_a_secret_is_found(text: str, what: str) -> None:
    assert what in leaks(text)


@pytest.mark.parametrize("overlay", ["cpu", "gpu"])
def test_manifests_hold_references_only(render: Callable[..., dict[str, Any]], overlay: str) -> None:
    objects = render(overlay)
    assert not any(document["kind"] == "Secret" for document in objects.values())
    assert list(literals(list(objects.values()))) == []
    assert list(literals({"env": [{"name": "WANDB_API_KEY", "value": "x"}]})) == ["WANDB_API_KEY"]


def test_kubernetes_asks_for_the_token_and_exposes_no_dashboard(render: Callable[..., dict[str, Any]]) -> None:
    objects = render()
    cluster = objects["RayJob/zfscale"]["spec"]["rayClusterSpec"]
    assert cluster["authOptions"] == {"mode": "token"}
    assert (cluster["headGroupSpec"]["serviceType"], cluster["headGroupSpec"]["enableIngress"]) == ("ClusterIP", False)
    assert not {document["kind"] for document in objects.values()} & {"Service", "Ingress", "Gateway", "HTTPRoute"}


@pytest.mark.parametrize("name", ["onprem", "aws", "gcp"])
def test_ray_up_asks_for_the_token_and_keeps_the_dashboard_on_loopback(name: str) -> None:
    config = yaml.safe_load((REPOSITORY / f"cluster/ray/{name}.yaml").read_text())
    starts = [c for w in ("head", "worker") for c in config[f"{w}_start_ray_commands"] if "ray start" in c]
    assert len(starts) == 2
    assert all("RAY_AUTH_MODE=token ray start" in command for command in starts)
    assert "--dashboard-host=127.0.0.1" in starts[0]
    assert "chmod 600 ~/.ray/auth_token" in config["setup_commands"]
