"""What `zfscale verify` has found, one JSON file a trial among its results; it speaks of one row of `trials` alone.

A trial that was run again has another row, so that a certificate from before says nothing of it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from zfscale.metrics.catalogue import MEASURES
from zfscale.results.layout import CERTIFICATES, certificate_of
from zfscale.results.reading import each
from zfscale.results.seal import digest
from zfscale.results.storage import Place, storage

Certificate = dict[str, Any]
ABOUT_IT = ("trial_id", "status", "spec", "files", "inputs", "weights", "versions", "stopped_at", "micro_batch")
SIGNED = (*ABOUT_IT, *(measure.name for measure in MEASURES))  # columns of `trials` that make out a row


def signature(row: Mapping[str, Any]) -> str:
    """SHA-256 of what makes out a row of `trials`, which has these columns."""
    return digest(json.dumps([row.get(name) for name in SIGNED]).encode())


def write(root: Place, trial_id: str, certificate: Certificate) -> str:
    """Keep a certificate; the name of its file. Errors: StorageError."""
    there, name = storage(root), certificate_of(trial_id)
    there.write(name, json.dumps(certificate, indent=2).encode())
    return f"{there}/{name}"


def read(root: Place, rows: Iterable[Mapping[str, Any]]) -> dict[str, Certificate]:
    """Trial id -> certificate of these rows, which have the columns `SIGNED`; one of another row is passed over."""
    there = storage(root)
    wanted = {certificate_of(row["trial_id"]): row for row in rows}
    names = sorted(set(there.names(CERTIFICATES)) & wanted.keys())
    found: dict[str, Certificate] = {}
    for name, data in zip(names, each(there, names, there.read), strict=True):
        try:
            certificate = json.loads(data or b"")
            if certificate["row"] == signature(wanted[name]):
                found[wanted[name]["trial_id"]] = certificate
        except (ValueError, LookupError, TypeError):  # not what verify writes
            pass
    return found
