"""Things named from outside, and the options that one thing alone has.

A block whose name may be "package.module:Name" is open: what the name stands for declares a pydantic model of options
of its own (`own` among its facts), which stand in the block beside the options listed here. A sweep file is checked
against that model, so the user's module is imported once, here. A spec as JSON is taken as it is: it was checked.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from typing import Any, ClassVar, NamedTuple, TypeVar

from pydantic import ConfigDict, GetJsonSchemaHandler, ModelWrapValidatorHandler, ValidationError, model_validator
from pydantic_core import CoreSchema, ErrorDetails, InitErrorDetails

from zfscale.block import Block
from zfscale.errors import SpecError, nearest, one_line
from zfscale.registry import PATH, is_path, load_user
from zfscale.spec.kept import MOST
from zfscale.spec.problems import explain
from zfscale.spec.text import no_secret
from zfscale.spec.yaml import Place

Self = TypeVar("Self", bound="OpenBlock")


class OpenBlock(Block):
    """A block of options that names a thing, which may have further options of its own."""

    model_config = ConfigDict(extra="allow")
    KEY: ClassVar[str] = "name"  # the option that names the thing
    CATALOGUE: ClassVar[Mapping[str, Any]]  # the facts of what the package brings along, by name

    @staticmethod
    def facts(name: str) -> Any:
        """The facts of a thing by its name or path. Errors: SpecError, or what the import raises."""
        raise NotImplementedError

    def filled(self: Self) -> Self:
        """Return this block with the thing's own options as attributes, defaults included."""
        own = type(self).facts(getattr(self, self.KEY)).own
        return self if own is None else self.model_copy(update=dict(made(own, self.model_extra or {})))

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """For editors: other keys than the listed ones are allowed where the name is a path, or where it has such."""
        found = handler.resolve_ref_schema(handler(schema))
        owned = (key for facts in cls.CATALOGUE.values() if facts.own is not None for key in facts.own.model_fields)
        found.pop("additionalProperties", None)
        path = {"type": "string", "pattern": f"^{PATH.pattern}$"}
        found["if"] = {"required": [cls.KEY], "properties": {cls.KEY: path}}
        found["else"] = {"propertyNames": {"enum": [*cls.model_fields, *dict.fromkeys(owned)]}}
        return found

    @classmethod
    def others(cls, name: Any) -> frozenset[str] | None:
        """The options that a name may have beside the block's; None is any, since only its module knows them."""
        if isinstance(name, str) and is_path(name):
            return None
        own = cls.CATALOGUE[name].own if isinstance(name, str) and name in cls.CATALOGUE else None
        return frozenset() if own is None else frozenset(own.model_fields)

    @model_validator(mode="wrap")
    @classmethod
    def _closed(cls, data: Any, handler: ModelWrapValidatorHandler[Any]) -> Any:
        """Refuse unknown keys where the name is one that cannot have them."""
        if isinstance(data, cls):  # as checked before
            return data
        ours = cls.__pydantic_fields__.keys()
        if not isinstance(data, dict) or data.keys() <= ours:
            return handler(data)
        allowed = cls.others(data.get(cls.KEY))
        unknown = [key for key in data if key not in ours and allowed is not None and key not in allowed]
        if not unknown:
            return handler(data)
        lines = [InitErrorDetails(type="extra_forbidden", loc=(key,), input=data[key]) for key in unknown]
        try:
            handler(data)
        except ValidationError as error:
            lines += [_again(details) for details in error.errors(include_url=False)]
        raise ValidationError.from_exception_data(cls.__name__, lines)


def _again(details: ErrorDetails) -> InitErrorDetails:
    ctx = details.get("ctx", {})
    return InitErrorDetails(type=details["type"], loc=details["loc"], input=details["input"], ctx=ctx)


def made(own: type[Block], options: Mapping[str, Any]) -> Block:
    """The options as their model has them; they come from YAML or JSON, which have lists and no tuples."""
    return own.model_validate_json(json.dumps(dict(options)))


class Fitted(NamedTuple):
    """A trial's data with own options checked, the unknown keys that were left out, and what is wrong."""

    whole: dict[str, Any]
    unknown: tuple[tuple[str, str, str, str], ...] = ()  # dotted path, that of the name, the name, what it has
    problems: Mapping[Place, str] = {}


class Outside:
    """What the open blocks of a sweep file name; each thing is looked up once."""

    def __init__(self, blocks: Mapping[str, type[OpenBlock]]) -> None:
        self.blocks = blocks
        self._found: dict[tuple[str, str], type[Block] | SpecError | None] = {}
        self._fitted: dict[tuple[type[Block], str], tuple[dict[str, Any], dict[Place, str]]] = {}

    def fit(self, whole: dict[str, Any]) -> Fitted:
        """Check and take in the own options of a trial's things; a default is left out, as in the hash of a spec."""
        if not self.blocks:
            return Fitted(whole)
        fitted: dict[str, Any] = {}
        unknown: tuple[tuple[str, str, str, str], ...] = ()
        problems: dict[Place, str] = {}
        for block, kind in self.blocks.items():
            given = whole.get(block)
            name = given.get(kind.KEY) if isinstance(given, dict) else None
            if isinstance(given, dict) and isinstance(name, str):
                found = self._fit(block, kind, given, name)
                fitted, unknown = fitted | found.whole, unknown + found.unknown
                problems.update(found.problems)
        return Fitted({**whole, **fitted}, unknown, problems)

    def _fit(self, block: str, kind: type[OpenBlock], given: dict[str, Any], name: str) -> Fitted:
        """As `fit`, of one block."""
        try:
            own = self._own(block, kind, name)
        except SpecError as error:
            return Fitted({}, (), {(block, kind.KEY): str(error)})
        fields = own.model_fields if own is not None else {}
        allowed = [*kind.model_fields, *fields]
        unknown = tuple(
            (f"{block}.{key}", f"{block}.{kind.KEY}", name, nearest(key, allowed))
            for key in given
            if key not in allowed
        )
        mine = {key: value for key, value in given.items() if key in fields}
        kept, wrong = (mine, {}) if own is None else self._kept(own, mine)
        known = {key: value for key, value in given.items() if key in kind.model_fields}
        return Fitted({block: {**known, **kept}}, unknown, {(block, *place): why for place, why in wrong.items()})

    def _kept(self, own: type[Block], options: Mapping[str, Any]) -> tuple[dict[str, Any], dict[Place, str]]:
        if len(self._fitted) >= MOST:
            return _kept(own, options)
        key = (own, repr(options))
        if key not in self._fitted:
            self._fitted[key] = _kept(own, options)
        return self._fitted[key]

    def _own(self, block: str, kind: type[OpenBlock], name: str) -> type[Block] | None:
        if (block, name) not in self._found:
            try:
                self._found[block, name] = _own(block, kind, name)
            except SpecError as error:
                self._found[block, name] = error
        found = self._found[block, name]
        if isinstance(found, SpecError):
            raise found
        return found


def _kept(own: type[Block], options: Mapping[str, Any]) -> tuple[dict[str, Any], dict[Place, str]]:
    """The options that are not the default, as plain data, and what is wrong with them."""
    try:
        kept = made(own, options).model_dump(mode="json", exclude_defaults=True)
    except ValidationError as error:
        return dict(options), explain(own, error)
    return kept, dict(secrets(kept))


def secrets(value: Any, place: Place = ()) -> Iterator[tuple[Place, str]]:
    """Where a text among own options looks like a credential, as no text of a spec may, by itself or with its key."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    inside = [found for key, inner in items for found in secrets(inner, (*place, key))]
    yield from inside
    if not inside and isinstance(value, (str, dict, list)):
        try:
            no_secret(value if isinstance(value, str) else json.dumps(value))
        except ValueError as error:
            yield place, str(error)


def _own(block: str, kind: type[OpenBlock], name: str) -> type[Block] | None:
    """The model of a thing's own options. Errors: SpecError if there is no such thing, or if it is none of ours."""
    if name not in kind.CATALOGUE and not is_path(name):
        return None  # the block's own check says so
    try:
        facts = kind.facts(name)
        for path in getattr(facts, "paths", ()) if is_path(name) else ():
            load_user(path)
        own = facts.own
    except SpecError as error:
        raise SpecError(str(error).removeprefix(f"{block}.{kind.KEY}: ")) from error
    except Exception as error:  # the user's module may raise anything
        raise SpecError(f"{name!r} cannot be imported: {type(error).__name__}: {one_line(error)}") from error
    if own is None:
        return None
    if not (isinstance(own, type) and issubclass(own, Block)):
        raise SpecError(f"{name!r} has an `own` that is no subclass of zfscale.spec.Block")
    if both := sorted(set(own.model_fields) & set(kind.model_fields)):
        raise SpecError(f"{name!r} declares {both[0]!r} as its own, which is an option of every {block}")
    return own


def opened(data: Mapping[str, Any], blocks: Mapping[str, type[OpenBlock]]) -> frozenset[str]:
    """The blocks in which a sweep file, valid or not, names something that may have options of its own."""
    return frozenset(
        block
        for block, kind in blocks.items()
        if any(kind.others(name) != frozenset() for name in _names(data, block, kind.KEY))
    )


def _names(data: Mapping[str, Any], block: str, key: str) -> Iterator[Any]:
    """Every value that the file has for `block.key`: of the template, and of the space by its path or its block."""
    space = data.get("space")
    space = space if isinstance(space, dict) else {}
    yield from _values(space.get(f"{block}.{key}"))
    for entry in (data.get(block), *_values(space.get(block))):
        if isinstance(entry, dict):
            yield entry.get(key)


def _values(distribution: Any) -> Iterator[Any]:
    for values in distribution.values() if isinstance(distribution, dict) else ():
        yield from values if isinstance(values, list) else ()


def is_own(path: str, opened: Collection[str]) -> bool:
    """Whether a dotted path, which the template does not have, may be an option of what one of these blocks names.

    >>> is_own("optimizer.rank", ["optimizer"]), is_own("optimizer.rank", []), is_own("optimizer.a.b", ["optimizer"])
    (True, False, False)
    """
    block, _, option = path.partition(".")
    return block in opened and option.isidentifier()
