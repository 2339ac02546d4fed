"""What a file with a budget must say, and what is wrong where: file, line, path."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.spec.test_spec_space import sweep
from zfscale.errors import SpecError
from zfscale.spec.spending import BudgetSpec

RATES: dict[str, Any] = {"optimizer.lr": {"grid": [0.1, 0.01]}}
SEARCH: dict[str, Any] = {"budget": 1000, "seeds": [100], "space": {"*": RATES}}
TWO: dict[str, Any] = {"optimizer.name": {"grid": ["fo-sgd", "zo-sgd"]}, "seed": {"grid": [0, 1]}}
WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "a reported seed": ({"seeds": [100, 1]}, r"search\.seeds\[1\]: 1 is a seed of trials that this file reports"),
    "a reported order": ({"seeds": [1993]}, r"search\.seeds\[0\]: 1993 is a stream\.class_order_seed of trials"),
    "a seed twice": ({"seeds": [100, 100]}, r"search\.seeds: 100 is listed 2 times"),
    "no seeds": ({"seeds": []}, r"search\.seeds: missing; a search needs seeds of its own"),
    "no space": ({"space": {}}, r"search\.space: missing; expected what is searched for"),
    "an optimizer left out": ({"space": {"fo-*": RATES}}, r"search\.space: no values for zo-sgd; expected a pattern"),
    "a pattern for nothing": ({"space": {"zo-adm*": RATES, "*": RATES}}, r"search\.space\.zo-adm\*: fits no optimizer"),
    "not an option": (
        {"space": {"*": {"train.epochs": {"grid": [1]}}}},
        r"search\.space\.\*\.train\.epochs: expected an option of method or optimizer",
    ),
    "a name": ({"space": {"*": {"method.name": {"grid": ["aper"]}}}}, "expected an option of method or optimizer"),
    "misspelt": (
        {"space": {"*": {"optimizer.lrr": {"grid": [0.1]}}}},
        r"search\.space\.\*\.optimizer\.lrr: unknown key; did you mean 'lr'\?",
    ),
    "of another optimizer": (
        {"space": {"*": {"optimizer.eps": {"grid": [0.1]}}}},
        r"0\.1 has no effect on fo-sgd; it belongs to the zo- optimizers",
    ),
    "out of bounds": (
        {"space": {"*": {"optimizer.lr": {"uniform": [-1.0, 1.0]}}}},
        r"search\.space\.\*\.optimizer\.lr: expected a number >= 0, got -1\.0",
    ),
    "what trains nothing": (
        {"space": {"*": {"optimizer.lr": {"grid": [0.1, 0.0]}}}},
        r"search\.space\.\*\.optimizer\.lr: 0\.0: nothing would be trained",
    ),
    "no budget": (
        {"budget": None},
        r"search\.seeds: means something to `zfscale tune` alone, which needs search\.budget",
    ),
    "another stream's metric": ({"metric": "final_loss"}, r"search\.metric: final_loss is not measured on class_incr"),
}


@pytest.mark.parametrize("case", WRONG)
def test_an_unfair_search_is_refused_with_its_line(case: str, tmp_path: Path) -> None:
    changes, told = WRONG[case]
    with pytest.raises(SpecError, match=rf"s\.yaml:\d+: .*{told}"):
        sweep(tmp_path, TWO, search={**SEARCH, **changes})


def test_a_fair_one_is_accepted(tmp_path: Path) -> None:
    assert sweep(tmp_path, TWO, search=SEARCH).spec.search.budget == BudgetSpec(each=1000)


def test_the_longest_pattern_that_fits_counts(tmp_path: Path) -> None:
    search = sweep(tmp_path, TWO, search={**SEARCH, "space": {"*": RATES, "zo-sgd": RATES}}).spec.search
    assert [search.pattern(name) for name in ("zo-sgd", "zo-adam", "fo-sgd")] == ["zo-sgd", "*", "*"]


def test_only_what_is_searched_for_may_not_vary_on_test_images(tmp_path: Path) -> None:
    queries = {"optimizer.queries": {"grid": [1, 2]}}
    assert sweep(tmp_path, queries, search=SEARCH).trials
    with pytest.raises(SpecError, match=r"search: values of optimizer\.lr would be compared on the test images"):
        sweep(tmp_path, RATES, search=SEARCH)


def test_domains_have_nothing_to_search_on(tmp_path: Path) -> None:
    blocks: dict[str, Any] = {
        "model": {"name": "embedded/lm-nano"},
        "stream": {"kind": "domain_incremental", "domains": [{"name": "licenses"}], "block_size": 32},
        "method": {"name": "sequential"},
    }
    with pytest.raises(SpecError, match=r"search\.budget: a search needs held-out training images"):
        sweep(tmp_path, {}, **blocks, search=SEARCH)
