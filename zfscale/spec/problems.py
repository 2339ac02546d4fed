"""pydantic's errors in plain words: what was given, what is allowed, the nearest valid name.

What is allowed is read off the model's JSON Schema: the message, the editor and the check cannot disagree.
"""

from __future__ import annotations

import difflib
import functools
import json
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from zfscale.errors import nearest
from zfscale.spec.distributions import KINDS
from zfscale.spec.yaml import Place

Schema = dict[str, Any]


def explain(model: type[BaseModel], error: ValidationError, *, partial: bool = False) -> dict[Place, str]:
    """Path -> message. With `partial`, missing keys are no problem: the space may still supply them."""
    root = _json_schema(model)
    found: dict[Place, str] = {}
    all_details = error.errors(include_url=False)
    unknown = [details["loc"] for details in all_details if details["type"] == "extra_forbidden"]
    for details in all_details:
        if details["type"] != "missing" or not (partial or _misspelt(details["loc"], unknown)):
            place, message = _translate(root, details)
            found.setdefault(place, message)
    return found


def _misspelt(missing: Place, unknown: list[Place]) -> bool:
    """Whether an unknown key of the same block is the missing one, misspelt: then that is said alone."""
    beside = [str(loc[-1]) for loc in unknown if loc[:-1] == missing[:-1]]
    return any(difflib.get_close_matches(key, [str(missing[-1])], n=1) for key in beside)


@functools.cache
def _json_schema(model: type[BaseModel]) -> Schema:
    return model.model_json_schema()


def show(value: Any) -> str:
    """A value as a user would recognise it, on one short line."""
    text = repr(value) if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 60 else f"{text[:60]}..."


def _translate(root: Schema, details: ErrorDetails) -> tuple[Place, str]:
    loc, given, kind = details["loc"], details["input"], details["type"]
    place = tuple(key for key in loc if not str(key).startswith("<"))  # "<...>" tags the branch of a union
    if kind == "extra_forbidden":
        return place, f"unknown key; {nearest(str(loc[-1]), _find(root, loc[:-1])['properties'])}"
    if kind == "distribution":
        return _distribution(place, given)
    if kind == "value_error":
        return place, str(details["ctx"]["error"])
    schema = _find(root, loc)
    if kind == "missing":
        return place, f"missing; expected {describe(root, schema)}"
    if kind == "literal_error" and isinstance(given, str):
        return place, f"unknown value {show(given)}; {nearest(given, _literals(schema))}"
    read = "; in quotes it is text" if kind == "string_type" and isinstance(given, (int, float)) else ""
    return place, f"expected {describe(root, schema)}, got {show(given)}{read}"


def _distribution(place: Place, given: Any) -> tuple[Place, str]:
    example = "expected one distribution such as {grid: [...]}"
    if not isinstance(given, dict):
        return place, f"{example}, got {show(given)}; allowed: {', '.join(sorted(KINDS))}"
    unknown = [key for key in given if key not in KINDS]
    if unknown:
        return (*place, unknown[0]), f"unknown distribution; {nearest(unknown[0], KINDS)}"
    return (
        place,
        f"{example}, got {' and '.join(given) or 'an empty mapping'}; allowed: {', '.join(sorted(KINDS))}",
    )


def _find(root: Schema, loc: Place) -> Schema:
    """The schema of what sits at a location; of a block that may be null, the block's."""
    schema = _resolve(root, root)
    for key in loc:
        schema = _present(root, schema)
        if str(key).startswith("<"):
            branches = [_resolve(root, branch) for branch in schema["oneOf"]]
            titled = [branch for branch in branches if f"<{branch.get('title')}>" == key]
            schema = titled[0] if titled else schema  # plain text: the whole union is what is allowed
        elif isinstance(key, int):
            schema = _resolve(root, schema["items"])
        else:
            properties = schema.get("properties", {})
            schema = _resolve(root, properties.get(key) or schema["additionalProperties"])
    inner = _present(root, schema)
    return inner if "properties" in inner else schema


def _present(root: Schema, schema: Schema) -> Schema:
    """Of what may be null, what it is otherwise; of what may be a name or a block, the block."""
    branches = [_resolve(root, branch) for branch in schema.get("anyOf", ())]
    there = [b for b in branches if "properties" in b] or [b for b in branches if b.get("type") != "null"]
    return there[0] if len(there) == 1 < len(branches) else schema


def _resolve(root: Schema, schema: Schema) -> Schema:
    return root["$defs"][schema["$ref"].rsplit("/", 1)[1]] if "$ref" in schema else schema


def _literals(schema: Schema) -> list[str]:
    return schema["enum"] if "enum" in schema else [schema["const"]]


NOUNS = {"integer": "an integer", "number": "a number", "null": "null"}
BOUNDS = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}


def describe(root: Schema, schema: Schema) -> str:
    """What a schema allows, in words.

    >>> describe({}, {"type": "integer", "minimum": 1, "maximum": 32})
    'an integer >= 1 and <= 32'
    """
    schema = _resolve(root, schema)
    for union in ("anyOf", "oneOf"):
        if union in schema:
            return " or ".join(describe(root, branch) for branch in schema[union])
    if "enum" in schema or "const" in schema:
        return f"one of: {', '.join(map(str, _literals(schema)))}"
    if "minimum" in schema and schema["minimum"] == schema.get("maximum"):
        return str(schema["minimum"])
    kind = schema.get("type")
    if kind == "object":
        keys = schema.get("properties")
        return f"a mapping with keys {', '.join(keys)}" if keys else "a mapping"
    if kind == "array":
        return _describe_list(schema)
    if kind == "string":
        size = f", at most {schema['maxLength']} characters" if "maxLength" in schema else ""
        return f"text matching {schema['pattern'].strip('^$')}{size}" if "pattern" in schema else "a non-empty text"
    bounds = " and ".join(f"{sign} {schema[key]:.12g}" for key, sign in BOUNDS.items() if key in schema)
    return f"{NOUNS.get(str(kind), 'a value')} {bounds}".rstrip()


def _describe_list(schema: Schema) -> str:
    noun = f"{schema.get('items', {}).get('type', 'value')}s"
    low, high = schema.get("minItems"), schema.get("maxItems")
    return f"a list of {low} {noun}" if low == high else f"a list of at least {low} {noun.removesuffix('s')}"
