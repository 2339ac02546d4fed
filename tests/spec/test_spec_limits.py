"""What no machine, file system or reader can take is refused with one line before anything starts."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.spec.test_spec_errors import GOOD, message
from zfscale.spec import json_schema, load
from zfscale.spec.backtracking import backtracking
from zfscale.spec.yaml import MAX_BYTES

LIMITS = [  # what is appended to the file, on line 9; where the error is, what it says
    ("resources: {cpus: 1e30}", "9: resources.cpus:", "expected an integer >= 1 and <= 65536, got 1e+30"),
    ("resources: {cpus: 65537}", "9: resources.cpus:", "<= 65536, got 65537"),
    (f"resources: {{cpus: 1{'0' * 30}}}", "9: resources.cpus:", "an integer of 31 digits; allowed: at most"),
    ("resources: {gpus: 1e30}", "9: resources.gpus:", "expected a number >= 0 and <= 65536, got 1e+30"),
    ("resources: {workers: 100000}", "9: resources.workers:", "and <= 65536, got 100000"),
    ("resources: {max_concurrent: 1000000}", "9: resources.max_concurrent:", "<= 100000 or null, got 1000000"),
    ("search: {samples: 1000000}", "9: search.samples:", "and <= 100000, got 1000000"),
    (f"output: {{dir: {'a' * 256}}}", "9: output.dir:", "a name of 256 bytes, aaaa"),
    (f"output: {{dir: {'é' * 128}}}", "9: output.dir:", "a name of 256 bytes"),
    (f"output: {{dir: {'a/' * 2049}}}", "9: output.dir:", "a path of 4098 bytes"),
    ('output: {dir: "a\\0b"}', "9: output.dir:", "NUL"),
    ("output: {dir: 's3://b/x?password=abcd'}", "9: output.dir:", "holds a credential"),
    ("output: {dir: 's3://b/x?pw=abcd'}", "9: output.dir:", "holds a credential"),
    ("output: {dir: 's3://b/x?p%77=abcd'}", "9: output.dir:", "holds a credential"),
    ("output: {dir: 's3://b/x?mine=abcd'}", "9: output.dir:", "unknown parameter 'mine' in the URL; allowed"),
    ("output: {dir: 'file:///b/x?a=abcd'}", "9: output.dir:", "unknown parameter 'a' in the URL; file:// takes none"),
    (
        "output: {dir: 's3://b/x?endpoint_override=http%3A%2F%2Fme%3Aabcd%40host'}",
        "9: output.dir:",
        "holds a credential",
    ),
    ("search: {metric: final_loss}", "9: search.metric:", "is not measured on class_incremental streams; allowed: avg"),
    ("search: {until: {final_loss: 2}}", "9: search.until.final_loss:", "is not measured on class_incremental streams"),
    ("search: {until: {avg_accuracy: 95}}", "9: search.until.avg_accuracy:", "is a share, at most 1, which reports"),
]


@pytest.mark.parametrize(("more", "where", "says"), LIMITS)
def test_what_no_machine_can_take_is_located_and_explained(tmp_path: Path, more: str, where: str, says: str) -> None:
    error = message(tmp_path, f"{GOOD}{more}\n")
    assert error.startswith(f"x.yaml:{where}")
    assert says in error
    assert "abcd" not in error
    assert len(error.splitlines()) == 1
    assert len(error) < 400


def test_every_number_of_a_machine_has_a_bound() -> None:
    for block in ("ResourcesSpec", "SearchSpec"):
        for name, field in json_schema()["$defs"][block]["properties"].items():
            if name != "budget":  # forwards: of any size
                kinds = [field, *field.get("anyOf", ())]
                assert all("maximum" in kind for kind in kinds if kind.get("type") in ("integer", "number")) or (
                    name == "validation"
                ), f"{block}.{name}"


@pytest.mark.parametrize("length", [251, 300, 10_000])
def test_a_name_that_no_directory_can_have_is_refused(tmp_path: Path, length: int) -> None:
    error = message(tmp_path, GOOD.replace("broken", "a" * length))
    assert error.startswith(
        "x.yaml:1: name: expected text matching [A-Za-z0-9_-][A-Za-z0-9._-]*, at most 250 characters, got"
    )
    assert len(error) < 200


def test_the_longest_name_and_path_are_taken(tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    file.write_text(GOOD.replace("broken", "a" * 250) + f"output: {{dir: {'a' * 255}/{'b' * 255}}}\n")
    sweep = load(file)
    (tmp_path / f"{sweep.spec.name}-tune").mkdir()  # the longest directory that is made of it
    assert (len(sweep.spec.name), len(sweep.spec.output.dir)) == (250, 511)


def test_the_parameters_that_pyarrow_knows_are_taken(tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    url = "s3://b/x?endpoint_override=localhost:9000&scheme=http&region=us-east-1"
    file.write_text(f"{GOOD}output: {{dir: '{url}'}}\n")
    assert load(file).spec.output.dir == url


def test_a_file_that_is_too_large_is_refused_at_once(tmp_path: Path) -> None:
    error = message(tmp_path, GOOD + "#" * MAX_BYTES)
    assert error == f"x.yaml:1: {MAX_BYTES + len(GOOD)} bytes; allowed: at most {MAX_BYTES} in a sweep file"


def test_a_large_file_is_read_as_a_small_one_is(tmp_path: Path) -> None:
    file, large = tmp_path / "x.yaml", tmp_path / "large.yaml"
    text = GOOD + "space: {optimizer.lr: {grid: [1e-5, 0o17, 1, .5, 2]}}  # :\n"
    file.write_text(text)
    large.write_text(text + "# as long as it takes\n" * 5000)
    assert load(large).trials == load(file).trials
    assert load(large).document.origins == load(file).document.origins


def test_a_mistake_in_a_large_file_is_explained_as_in_a_small_one(tmp_path: Path) -> None:
    small = message(tmp_path, GOOD + "space: [\n")
    large = message(tmp_path, "# as long as it takes\n" * 5000 + GOOD + "space: [\n")
    assert large == re.sub(r"\d+", lambda line: str(int(line[0]) + 5000), small)


ENDLESS = ["(a+)+b", "(a|a)*b", "(a|ab)*c", "(.*)*x", "a?" * 40 + "a" * 40, "(a{1,50}){1,50}", "(?=(a+)+)x", ".*" * 6]
QUICK = [
    r"blocks\.(8|9)\..*(query|value)+",
    r"(\w+\.)+weight",
    r"layer\.(1[01]|[0-9])\.",
    ".*a.*b.*c.*",
    "",
    "lm_head$",
]


@pytest.mark.parametrize("pattern", ENDLESS)
def test_a_pattern_that_may_take_for_ever_is_refused(tmp_path: Path, pattern: str) -> None:
    text = f"""\
name: broken
model: {{name: embedded/lm-nano, train: '{pattern}'}}
stream: {{kind: domain_incremental, domains: [{{name: python-code}}], block_size: 32}}
method: {{name: sequential}}
optimizer: {{name: zo-sgd, lr: 1e-3}}
train: {{epochs: 1, batch_size: 8}}
"""
    assert "which may take for ever; allowed: " in message(tmp_path, text)


@pytest.mark.parametrize("pattern", QUICK)
def test_a_pattern_that_ends_is_taken(pattern: str) -> None:
    assert backtracking(pattern) is None
