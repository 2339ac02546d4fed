"""`output.sinks`: names, a user's own by module:Class, and their options, refused with file and line."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest
from jsonschema import Draft202012Validator
from pydantic import Field

from tests.spec.test_spec_errors import GOOD, message
from zfscale.block import Block
from zfscale.sinks.catalogue import chosen
from zfscale.spec import json_schema, load


class Plain:
    """A sink without options."""

    step = query = eval = close = print


class Mine(Plain):
    """A sink with options."""

    class Options(Block):
        """Its own."""

        path: str = Field(description="where")
        every: int = Field(default=1, ge=1, description="how often")


@pytest.fixture(autouse=True)
def own(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("own")
    module.Mine, module.Plain, module.number = Mine, Plain, 3  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "own", module)


def output(sinks: str) -> str:
    return f"{GOOD}output:\n  sinks:\n{sinks}"


def test_sinks_are_names_or_blocks(tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    file.write_text(output('    - "own:Plain"\n    - {name: "own:Mine", path: x, every: 2}\n'))
    sweep = load(file)
    asked = [(one.name, one.options) for one in chosen(sweep.spec.output) if not one.facts.commits]
    assert asked[1:] == [("own:Plain", {}), ("own:Mine", {"path": "x", "every": 2})]
    plain = load_id(tmp_path, GOOD)
    assert sweep.trials[0].trial_id == plain


def load_id(tmp_path: Path, text: str) -> str:
    file = tmp_path / "plain.yaml"
    file.write_text(text)
    return load(file).trials[0].trial_id


@pytest.mark.parametrize(
    ("sink", "where", "says"),
    [
        ("parqet", "x.yaml:11: output.sinks[0].name:", "unknown value 'parqet'; "),
        ("parqet", "x.yaml:11: output.sinks[0].name:", "or module:Class of your own"),
        ("nowhere:Mine", "x.yaml:11: output.sinks[0].name:", "'nowhere:Mine' cannot be imported: No module named"),
        ("own:Other", "x.yaml:11: output.sinks[0].name:", "'own:Other' cannot be imported: module 'own' has no"),
        (
            "own:number",
            "x.yaml:11: output.sinks[0].name:",
            "'own:number' is no sink: it has no step, query, eval, close",
        ),
        ("{name: own:Plain, path: x}", "x.yaml:11: output.sinks[0].path:", "unknown key; own:Plain has no options"),
        ("{name: own:Mine}", "x.yaml:11: output.sinks[0].path:", "missing; expected a non-empty text"),
        (
            "{name: own:Mine, path: x, evry: 2}",
            "x.yaml:11: output.sinks[0].evry:",
            "unknown key; did you mean 'every'?",
        ),
        (
            "{name: own:Mine, path: x, every: 0}",
            "x.yaml:11: output.sinks[0].every:",
            "expected an integer >= 1, got 0",
        ),
        ("{path: x}", "x.yaml:11: output.sinks[0].name:", "missing; expected one of"),
        ("3", "x.yaml:11: output.sinks[0]:", "a mapping with keys name, got 3"),
        (
            "{name: own:Mine, path: hf_abcdefghijklmnopqrstuvwxyz0123}",
            "x.yaml:11: output.sinks[0].path:",
            "holds a credential",
        ),
        ("own:Plain\n    - own:Plain", "x.yaml:12: output.sinks[1]:", "'own:Plain' is listed twice"),
    ],
)
def test_a_bad_sink_is_located_and_explained(tmp_path: Path, sink: str, where: str, says: str) -> None:
    error = message(tmp_path, output(f"    - {sink}\n"))
    assert len(error.splitlines()) == 1
    assert error.startswith(where)
    assert says in error


def test_editors_know_both_ways_to_name_a_sink() -> None:
    check = Draft202012Validator(json_schema())
    for sinks, good in (
        (["own:Mine", {"name": "own:Mine", "path": "x"}], True),
        ([3], False),
        ([{"path": "x"}], False),
    ):
        assert check.is_valid({"name": "x", "output": {"sinks": sinks}}) is good
