"""Texts of a sweep file: none may hold a secret, since the spec is copied to tables, W&B and reports."""

from __future__ import annotations

import os
from typing import Annotated

from pydantic import AfterValidator, Field

from zfscale.errors import nearest
from zfscale.results.redact import looks_secret

SCHEMES = ("file", "gs", "s3")  # of output.dir, where it is a URL


def no_secret(text: str) -> str:
    """The text as it is; ValueError, which does not repeat it, if it looks like a credential."""
    if looks_secret(text):
        raise ValueError("holds a credential, and would be copied to tables and logs; put it into the environment")
    return text


def user_path(text: str) -> str:
    """A path with "~" expanded; ValueError if there is no such user, or if no file can have the name."""
    path = os.path.expanduser(text)
    if "\0" in path:
        raise ValueError(f"{text!r}: no file can have a name with a NUL character")
    if path.startswith("~"):
        raise ValueError(f"{text!r}: there is no user {path.partition('/')[0][1:]!r}; ./~ is a name that begins with ~")
    return path


def results_place(text: str) -> str:
    """A directory with "~" expanded, or a URL of a known scheme; ValueError otherwise.

    >>> results_place("s3://bucket/results")
    's3://bucket/results'
    """
    scheme, separator, rest = text.partition("://")
    if not separator:
        return user_path(text)
    if scheme not in SCHEMES:
        raise ValueError(f"unknown scheme {scheme!r}; {nearest(scheme, SCHEMES)}, or a directory")
    if not rest.startswith("/") if scheme == "file" else rest.startswith(("/", "?")) or not rest:
        example = "file:///shared/results" if scheme == "file" else f"{scheme}://bucket/results"
        raise ValueError(f"not a place for results: {text!r}; expected {scheme}:// as in {example}")
    return text


Text = Annotated[str, Field(min_length=1), AfterValidator(no_secret)]
UserPath = Annotated[Text, AfterValidator(user_path)]  # "~/x" -> "/home/me/x"
ResultsPlace = Annotated[Text, AfterValidator(results_place)]
