"""The manifests as the real `kubectl kustomize` renders them."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import yaml
from programs import run_sh, tool


@pytest.fixture(scope="session")
def render() -> Callable[..., dict[str, Any]]:
    """(overlay, further variables) -> the objects of a dry run by "Kind/name", with the sweep's own suffix cut off."""
    tool("kubectl")
    done: dict[Any, dict[str, Any]] = {}

    def objects(overlay: str = "gpu", sweep: str = "sweeps/vit_classil.yaml", **variables: str) -> dict[str, Any]:
        key = (overlay, sweep, *variables.items())
        if key not in done:
            ran = run_sh(sweep, OVERLAY=overlay, DRY_RUN="1", **variables)
            assert ran.returncode == 0, ran.stderr
            documents = [document for document in yaml.safe_load_all(ran.stdout) if document]
            done[key] = {f"{d['kind']}/{d['metadata']['name'].partition('-vit-')[0]}": d for d in documents}
        return copy.deepcopy(done[key])

    return objects
