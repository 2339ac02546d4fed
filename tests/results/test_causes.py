"""Failed trials in groups: what differs in numbers and ids alone is one cause."""

from __future__ import annotations

import pytest

from zfscale.results.causes import causes, matches

DIVERGED = "Traceback (most recent call last):\n  File x, line 3\nzfscale.training.fit.Diverged: task {}, step {}: {}"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (DIVERGED.format(1, 20, "loss 1e-3"), DIVERGED.format(5, 7, "loss -2.5E+10")),
        ("RuntimeError: at 0x7f00aa", "RuntimeError: at 0x1"),
        ("trial 0123456789ab: gone", "trial ba9876543210: gone"),
        ("torch.cuda.OutOfMemoryError: tried 3.00 GiB", "OutOfMemoryError: tried 17.5 GiB\n\n"),
    ],
)
def test_what_differs_in_numbers_is_one_cause(one, other):
    (found,) = causes([("b", one), ("a", other)])
    assert found.trials == ["a", "b"]
    assert found.example == other.strip().splitlines()[-1]


HEAD = "Traceback (most recent call last):\n  File x, line 3\n    raise\n"


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (HEAD + "RuntimeError: sizes differ\nsee https://x.org\n", "RuntimeError: sizes differ"),
        (HEAD + "RuntimeError: sizes differ\n\n  3 and 4", "RuntimeError: sizes differ"),
        (HEAD + "RuntimeError:\n  sizes differ\nsee x", "RuntimeError: sizes differ"),
        (HEAD + "KeyError: 1\n\nDuring handling ...\n\n" + HEAD + "x.Wrong: no\nmore", "x.Wrong: no"),
        (HEAD, "raise"),  # cut off
        ("the worker died\nof memory", "of memory"),
    ],
)
def test_a_message_of_several_lines_is_known_by_that_of_the_exception(error: str, line: str) -> None:
    (found,) = causes([("a", error)])
    assert found.example == line


def test_what_is_written_above_a_traceback_names_its_cause() -> None:
    (found,) = causes([("a", f"OutOfMemory: also with half the micro-batch, 4\n\n{DIVERGED.format(1, 2, 'nan')}")])
    assert found.example == "OutOfMemory: also with half the micro-batch, 4"


def test_other_words_are_another_cause_and_the_largest_comes_first():
    found = causes([("a", "ValueError: x1"), ("b", "ValueError: conv2d"), ("c", "ValueError: conv2d"), ("d", None)])
    assert [(cause.name, cause.trials) for cause in found] == [
        ("ValueError: conv2d", ["b", "c"]),
        ("-", ["d"]),
        ("ValueError: x1", ["a"]),
    ]


def test_a_user_names_a_cause_by_its_group_or_by_a_part_of_the_error():
    error = DIVERGED.format(1, 20, "no finite loss")
    assert matches(error, "Diverged: task N, step N: no finite loss")
    assert matches(error, "line 3")
    assert not matches(error, "OutOfMemory")
    assert not matches(None, "Diverged")
