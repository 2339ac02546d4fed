"""The names that a sweep file may use for what the package brings along; any other name is a path or a hub id."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from zfscale.errors import nearest
from zfscale.registry import PATH, is_path
from zfscale.spec.yaml import Place

# Image datasets that come by name -> classes.
CLASSES = {
    "mnist5k": 10,
    "digits": 10,
    "fashion_mnist": 10,
    "fashion1k": 10,
    "glyphs": 52,
    "photos": 3,
    "scripts100": 100,
}
TEXTS = ("python-code", "cpp-headers", "reference", "licenses", "docstrings")  # text domains that do
MODELS = ("embedded/vit-duo", "embedded/vit-mini", "embedded/vit-nano")  # for class_incremental
LANGUAGE_MODELS = ("embedded/lm-nano",)
IMAGE_MODELS = ("embedded/mae-nano",)  # for domain_incremental image streams
HUB_ID = re.compile(r"[A-Za-z0-9_][\w.-]{0,95}(/[A-Za-z0-9_][\w.-]{0,95})?", re.ASCII)
PATH_LIKE = ("/", "./", "../", "~")

Finding = tuple[Place, str]


def hub_id(name: str, known: Collection[str], kind: str) -> list[str]:
    """A name that is not ours is a hub id, unless it is malformed or looks like a slip of one of ours."""
    slip = difflib.get_close_matches(name, known, n=1, cutoff=0.8)
    if slip or not HUB_ID.fullmatch(name):
        ours = nearest(name, known) if known else "allowed:"
        return [f"unknown {kind} {name!r}; {ours}, a hub id such as owner/name, or a directory"]
    return []


@dataclass(frozen=True)
class OneOf:
    """For `Annotated[str, OneOf(names)]`: one of the names or, if `own` says what, a "package.module:Name".

    `kind` is what messages call it.
    """

    names: Collection[str]
    own: str = ""
    kind: str = "value"

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """A text that is checked."""
        return core_schema.no_info_after_validator_function(self._known, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: Any) -> dict[str, Any]:
        """What is allowed, for editors and messages."""
        names = {"enum": list(self.names), "type": "string"}
        return {"anyOf": [names, {"type": "string", "pattern": f"^{PATH.pattern}$"}]} if self.own else names

    def _known(self, name: str) -> str:
        if name not in self.names and not (self.own and is_path(name)):
            or_own = f", or {self.own}" if self.own else ""
            raise ValueError(f"unknown {self.kind} {name!r}; {nearest(name, self.names)}{or_own}")
        return name
