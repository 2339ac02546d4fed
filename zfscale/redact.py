"""Secrets taken out of what is written: a traceback may quote a URL or a variable that holds one."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

NAMES = re.compile(r"(^|_)(KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIALS?)(_|$)", re.IGNORECASE)
SHORTEST = 8  # characters; what is shorter is no secret, and may be any word


def redact(text: str, environment: Mapping[str, str] = os.environ) -> str:
    """The text without the values of environment variables that are named like secrets, and without user:password@.

    >>> redact("403 for https://me:pw@host with 0123456789", {"HF_TOKEN": "0123456789"})
    '403 for https://***@host with <HF_TOKEN>'
    """
    for name, value in environment.items():
        if NAMES.search(name) and len(value) >= SHORTEST:
            text = text.replace(value, f"<{name}>")
    return re.sub(r"://[^/\s@]+@", "://***@", text)
