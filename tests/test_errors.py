"""Errors of other libraries become one line that says all they say."""

from __future__ import annotations

import io

import pytest

from zfscale.errors import one_line


def _raised(cause: BaseException, error: BaseException) -> BaseException:
    try:
        raise error from cause
    except BaseException as caught:
        return caught


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (RuntimeError("first\n\n  second"), "first second"),
        (OSError("\n\nafter blank lines"), "after blank lines"),
        (AssertionError(), "AssertionError"),
        (ValueError(" \n "), "ValueError"),
        (KeyError("architecture"), "KeyError 'architecture'"),
        (_raised(OSError("the disk"), ValueError()), "ValueError: the disk"),
        (_raised(TimeoutError(), ValueError()), "ValueError: TimeoutError"),
        (_raised(OSError("the disk"), ValueError("its own")), "its own"),
        (ValueError("red \x1b[31m and \x00"), "red [31m and"),
        (FileNotFoundError(2, "No such file or directory", "a.bin"), "[Errno 2] No such file or directory: 'a.bin'"),
    ],
)
def test_says_the_whole_message_on_one_line(error: BaseException, line: str) -> None:
    assert one_line(error) == line


def test_says_no_address_of_an_object() -> None:
    assert one_line(ValueError(f"cannot identify {io.BytesIO()!r}")) == "cannot identify <_io.BytesIO>"


def test_a_long_message_keeps_its_beginning() -> None:
    text = one_line(ValueError("a b " * 1000), limit=100)
    assert len(text) == 100
    assert text.startswith("a b a b")
    assert text.endswith(" ...")
