"""Where the documents of a text domain come from: text that an installation carries, a user's files, a hub dataset."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Any

from zfscale.data import embedded_texts, hub_texts
from zfscale.data.corpus import Corpus
from zfscale.data.embedded_texts import DOMAINS
from zfscale.data.hub_texts import HubTexts
from zfscale.data.user_texts import UserTexts, user_texts


def find(source: str | Any, memory: Path | None = None) -> Corpus:
    """The corpus of a name of `DOMAINS`, of a hub id, `{hub: ID, ...}` or `{path: GLOB, ...}` (a dict or an object).

    Files are told from others by their contents, wherever they lie; a hub dataset by its revision. The directory
    `memory` remembers both, for when files have not changed or the hub cannot be asked.
    Errors: DataError if no file matches or one is not what it is said to be; of a hub dataset, only when its
    documents are read.
    """
    if isinstance(source, str) and source in DOMAINS:
        identity = [source, platform.python_version(), *embedded_texts.installed()]
        return Corpus(identity, lambda notes: DOMAINS[source]())
    if isinstance(source, str):
        return hub_texts.hub_texts(HubTexts(source), memory)
    if "hub" in source if isinstance(source, dict) else hasattr(source, "hub"):
        return hub_texts.hub_texts(HubTexts.of(source), memory)
    return user_texts(UserTexts.of(source), memory)
