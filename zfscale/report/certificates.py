"""What `zfscale verify` has said of trials: a certificate each, beside their results."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any

from zfscale.results.layout import CERTIFICATES, certificate_of
from zfscale.results.storage import Place, storage


def certificates(root: Place, trials: Collection[str]) -> dict[str, dict[str, Any]]:
    """Trial id -> its certificate, of those of these trials that have one that can be read."""
    there, found = storage(root), dict[str, dict[str, Any]]()
    names = set(there.names(CERTIFICATES))
    for trial in trials:
        if (name := certificate_of(trial)) in names and (known := _read(there.read(name))) is not None:
            found[trial] = known
    return found


def holds(certificate: dict[str, Any] | None) -> bool:
    """Whether a certificate says that everything that was looked at holds."""
    return certificate is not None and certificate.get("holds") is True


def _read(data: bytes | None) -> dict[str, Any] | None:
    try:
        found = json.loads(data or b"")
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
