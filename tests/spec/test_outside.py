"""A method or an optimizer of the user's own, by path: its options are checked, kept, and carried like ours."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from tests.spec.test_owners import GOOD
from tests.spec.test_spec_errors import message
from zfscale.spec import OutputSpec, TrialSpec, json_schema, load
from zfscale.spec.own import own_code
from zfscale.spec.yaml import parse

MODULE = """\
from pydantic import Field
from zfscale.methods.catalogue import Method
from zfscale.spec import Block
from zfscale.zo.catalogue import Optimizer

class LowRank(Block):
    width: int = Field(default=4, ge=1, description="width of a direction")
    scales: tuple[float, ...] = (1.0, 2.0)
    device: str | None = None

class Needed(Block):
    size: int

class Hidden(Block):
    lr: float = 0.1

class Wide(Block):
    height: int = 2

Mine = Optimizer("spsa", "adam", own=LowRank)
Other = Optimizer("spsa", "sgd", own=Wide)
Backward = Optimizer("backpropagation", "sgd")
Hides = Optimizer("spsa", "sgd", own=Hidden)
Odd = Optimizer("spsa", "sgd", own=dict)
Text = "text"

class Rehearse:
    facts = Method("outside_things:Rehearse", "class_incremental", "all", frozenset({"alpha"}), own=Needed)

class OnDomains:
    facts = Method("outside_things:OnDomains", "domain_incremental", "model")
"""


@pytest.fixture(autouse=True)
def things(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "outside_things.py").write_text(MODULE)


def with_optimizer(name: str, *more: str) -> str:
    lines = "".join(f"  {line}\n" for line in more)
    return GOOD.replace("name: zo-sgd", f"name: outside_things:{name}").replace("lr: 1e-3\n", f"lr: 1e-3\n{lines}")


def trials(tmp_path: Path, text: str, *overrides: str) -> tuple[TrialSpec, ...]:
    (tmp_path / "x.yaml").write_text(text)
    return load(tmp_path / "x.yaml", overrides).trials


def test_own_options_are_kept_unless_they_are_the_default(tmp_path: Path) -> None:
    (plain,) = trials(tmp_path, with_optimizer("Mine"))
    (default,) = trials(tmp_path, with_optimizer("Mine", "width: 4", "scales: [1, 2]"))
    (given,) = trials(tmp_path, with_optimizer("Mine", "width: 8", "scales: [3]"))
    assert plain == default
    assert plain.trial_id == default.trial_id != given.trial_id
    assert "optimizer.width" not in plain.leaves()
    assert given.leaves()["optimizer.width"] == 8
    assert given.leaves()["optimizer.scales"] == "[3.0]"
    assert '"width": 8' in given.to_json()
    again = TrialSpec.from_json(given.to_json())
    assert (again, again.trial_id) == (given, given.trial_id)


def test_own_options_are_attributes_defaults_included(tmp_path: Path) -> None:
    (trial,) = trials(tmp_path, with_optimizer("Mine", "scales: [3]"))
    o = trial.optimizer.filled()
    assert (o.width, o.scales, o.device, o.eps) == (4, (3.0,), None, 1e-3)  # type: ignore[attr-defined]
    ours = TrialSpec.model_validate(_data(GOOD)).optimizer
    assert ours.filled() is ours


def _data(text: str) -> dict:
    return {key: value for key, value in parse(text, str)[0].items() if key != "name"}


def test_a_spec_as_json_is_read_without_the_module(tmp_path: Path) -> None:
    (trial,) = trials(tmp_path, with_optimizer("Mine", "width: 8"))
    (tmp_path / "outside_things.py").unlink()
    code = (
        "import sys; from zfscale.spec import TrialSpec; t = TrialSpec.from_json(sys.argv[1]); "
        "assert t.optimizer.width == 8 and 'outside_things' not in sys.modules; print(t.trial_id)"
    )
    command = [sys.executable, "-c", code, trial.to_json()]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == trial.trial_id


BROKEN = [  # name, more of the optimizer block, where, what it says
    ("Mine", "width: 0", "12: optimizer.width:", "expected an integer >= 1, got 0"),
    ("Mine", "width: four", "12: optimizer.width:", "expected an integer >= 1, got 'four'"),
    ("Mine", "scales: [a]", "12: optimizer.scales[0]:", "expected a number, got 'a'"),
    ("Mine", "device: hf_abcdefghijklmnopqrstuvwxyz0123", "12: optimizer.device:", "holds a credential"),
    ("Mine", "wdith: 8", "12: optimizer.wdith:", "unknown key; did you mean 'width'? allowed: beta1, "),
    ("Backward", "width: 8", "12: optimizer.width:", "unknown key; "),
    (
        "Mine",
        "momentum: 0.5",
        "12: optimizer.momentum:",
        "no effect on outside_things:Mine; it belongs to the up",
    ),
    ("Backward", "eps: 1", "12: optimizer.eps:", "no effect on outside_things:Backward; it belongs to the zo- opt"),
    ("Hides", "eps: 1", "10: optimizer.name:", "declares 'lr' as its own, which is an option of every optimizer"),
    ("Odd", "eps: 1", "10: optimizer.name:", "has an `own` that is no subclass of zfscale.spec.Block"),
    ("Text", "eps: 1", "10: optimizer.name:", "'outside_things:Text' is no zfscale.zo.catalogue.Optimizer"),
    ("Missing", "eps: 1", "10: optimizer.name:", "cannot be imported: AttributeError: module 'outside_things' has no"),
]


@pytest.mark.parametrize(("name", "more", "where", "says"), BROKEN)
def test_a_broken_option_of_the_users_is_located_and_explained(
    tmp_path: Path, name: str, more: str, where: str, says: str
) -> None:
    error = message(tmp_path, with_optimizer(name, more))
    assert error.startswith(f"x.yaml:{where}")
    assert says in error
    assert len(error.splitlines()) == 1


def test_a_module_that_cannot_be_imported_is_one_error(tmp_path: Path) -> None:
    text = GOOD.replace("zo-sgd", "no_such_module:Mine")
    error = message(tmp_path, f"{text}space:\n  seed: {{grid: [0, 1, 2]}}\n")
    assert error == (
        "x.yaml:10: optimizer.name: 'no_such_module:Mine' cannot be imported: "
        "ModuleNotFoundError: No module named 'no_such_module'"
    )
    (tmp_path / "outside_broken.py").write_text("1 +")
    error = message(tmp_path, GOOD.replace("ease", "outside_broken:Mine"))
    assert error.startswith("x.yaml:8: method.name: 'outside_broken:Mine' cannot be imported: SyntaxError: ")


@pytest.mark.parametrize(
    ("made", "says"),
    [
        ('Optimizer("spsaa", "sgd")', "unknown 'spsaa'; did you mean 'spsa'?"),
        ('Optimizer("spsa", "sgd", direct="sgn")', "unknown 'sgn'; did you mean 'sign'?"),
        ('Optimizer("spsa", Rule("nowhere.mod:R", (), lambda o: 0))', "No module named 'nowhere'"),
    ],
)
def test_facts_that_name_nothing_are_one_error(tmp_path: Path, made: str, says: str) -> None:
    (tmp_path / "outside_wrong.py").write_text(f"from zfscale.zo.catalogue import Optimizer, Rule\nMine = {made}\n")
    sys.modules.pop("outside_wrong", None)
    error = message(tmp_path, GOOD.replace("zo-sgd", "outside_wrong:Mine"))
    assert error.startswith("x.yaml:10: optimizer.name: ")
    assert says in error
    assert len(error.splitlines()) == 1


def test_what_an_optimizer_is_made_of_reaches_the_nodes(tmp_path: Path) -> None:
    (tmp_path / "outside_rules.py").write_text("class R: ...\n")
    made = 'Optimizer("spsa", Rule("outside_rules:R", (), lambda o: 0))'
    (tmp_path / "outside_parts.py").write_text(f"from zfscale.zo.catalogue import Optimizer, Rule\nMine = {made}\n")
    (trial,) = trials(tmp_path, GOOD.replace("zo-sgd", "outside_parts:Mine"))
    assert own_code([trial], OutputSpec()) == dict.fromkeys(["outside_parts:Mine", "outside_rules:R"], "optimizer.name")


def test_a_method_from_outside_has_its_facts_and_options(tmp_path: Path) -> None:
    text = GOOD.replace("name: ease", "name: outside_things:Rehearse")
    assert message(tmp_path, text) == "x.yaml:7: method.size: missing; expected an integer"
    (trial,) = trials(tmp_path, text, "method.size=3", "method.alpha=0.5")
    assert trial.leaves()["method.size"] == 3
    assert "no effect on outside_things:Rehearse; it belongs to aper, ease" in message(
        tmp_path, text.replace("Rehearse\n", "Rehearse\n  size: 3\n  bottleneck: 8\n")
    )
    error = message(tmp_path, text.replace("Rehearse", "OnDomains"))
    assert error.startswith("x.yaml:8: method.name: 'outside_things:OnDomains' does not learn a class_incremental")


def test_the_space_varies_own_options(tmp_path: Path) -> None:
    text = f"{with_optimizer('Mine')}space:\n  optimizer.width: {{grid: [2, 4, 8]}}\n"
    assert [trial.optimizer.filled().width for trial in trials(tmp_path, text)] == [2, 4, 8]  # type: ignore[attr-defined]
    assert len(trials(tmp_path, text, "optimizer.width=3")) == 1
    assert len(trials(tmp_path, text, "space.optimizer.width.grid=[1, 2]")) == 2
    error = message(tmp_path, text.replace("[2, 4, 8]", "[2, 0]"))
    assert error.startswith("x.yaml:14: space.optimizer.width.grid[1]: expected an integer >= 1, got 0")
    error = message(tmp_path, text.replace("optimizer.width", "optimizer.wdith"))
    assert error.startswith("x.yaml:14: space.optimizer.wdith.grid[0]: unknown key; did you mean 'width'?")


def test_a_grid_crosses_names_of_ours_and_of_the_users(tmp_path: Path) -> None:
    names = "space:\n  optimizer.name: {grid: [zo-sgd, 'outside_things:Mine', 'outside_things:Other']}\n"
    text = GOOD.replace("lr: 1e-3\n", "lr: 1e-3\n  width: 8\n  height: 3\n") + names
    ours, mine, other = trials(tmp_path, text)
    assert [trial.optimizer.model_extra for trial in (ours, mine, other)] == [{}, {"width": 8}, {"height": 3}]
    (alone,) = trials(tmp_path, GOOD)
    assert ours.trial_id == alone.trial_id
    error = message(tmp_path, text.replace("height: 3", "widht: 3"))
    assert error.startswith("x.yaml:13: optimizer.widht: unknown key; ")
    own = "space:\n  optimizer: {grid: [{name: zo-sgd, width: 2}, {name: 'outside_things:Mine', width: 3}]}\n"
    error = message(tmp_path, GOOD + own)
    assert error.startswith("x.yaml:14: space.optimizer.grid[0].width: unknown key; ")
    assert len(error.splitlines()) == 1


def test_a_name_of_ours_may_be_tried_over_the_users_file(tmp_path: Path) -> None:
    (trial,) = trials(tmp_path, with_optimizer("Mine", "width: 8"), "optimizer.name=zo-sgd")
    assert trial.optimizer.model_extra == {}
    (trial,) = trials(tmp_path, GOOD, "optimizer.width=8", "optimizer.name=outside_things:Mine")
    assert trial.optimizer.model_extra == {"width": 8}
    assert "--set optimizer.width=8: optimizer.width: unknown path" in message(tmp_path, GOOD, "optimizer.width=8")


def test_names_of_ours_have_no_other_keys(tmp_path: Path) -> None:
    error = message(tmp_path, GOOD.replace("lr: 1e-3", "lr: -1\n  width: 8"))
    first, second = error.splitlines()
    assert first.startswith("x.yaml:11: optimizer.lr: expected a number >= 0")
    assert second.startswith("x.yaml:12: optimizer.width: unknown key; ")
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        TrialSpec.model_validate({**_data(GOOD), "method": {"name": "ease", "size": 1}})


def test_editors_allow_other_keys_where_the_name_is_a_path() -> None:
    import jsonschema

    check = jsonschema.Draft202012Validator(json_schema()).is_valid
    text = f"{with_optimizer('Mine', 'width: 8')}space:\n  optimizer.width: {{grid: [1]}}\n"
    assert check(parse(text, str)[0])
    assert not check(parse(text.replace("outside_things:Mine", "zo-sgd"), str)[0])
    assert not check(parse(text.replace("outside_things:Mine", "zo-sgd").replace("  width: 8\n", ""), str)[0])
