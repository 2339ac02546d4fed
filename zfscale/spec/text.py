"""Texts of a sweep file: none may hold a secret, since the spec is copied to tables, W&B and reports."""

from __future__ import annotations

import os
from typing import Annotated
from urllib.parse import unquote, urlsplit

from pydantic import AfterValidator, Field

from zfscale.errors import nearest
from zfscale.results.redact import looks_secret

LONGEST_NAME, LONGEST_PATH = 255, 4095  # bytes, of a file's name and of a path: what Linux allows
# Of output.dir, where it is a URL: its schemes, and the parameters that pyarrow knows in the query of each.
SCHEMES: dict[str, tuple[str, ...]] = {
    "file": (),
    "gs": ("endpoint_override", "project_id", "retry_limit_seconds", "scheme"),
    "s3": (
        *("allow_bucket_creation", "allow_bucket_deletion", "allow_delayed_open"),
        *("endpoint_override", "region", "scheme", "smart_defaults", "tls_ca_file_path", "tls_verify_certificates"),
    ),
}


def no_secret(text: str) -> str:
    """The text as it is; ValueError, which does not repeat it, if it looks like a credential."""
    if looks_secret(text) or ("%" in text and looks_secret(unquote(text))):
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
        return _short(user_path(text))
    if scheme not in SCHEMES:
        raise ValueError(f"unknown scheme {scheme!r}; {nearest(scheme, SCHEMES)}, or a directory")
    if not rest.startswith("/") if scheme == "file" else rest.startswith(("/", "?")) or not rest:
        example = "file:///shared/results" if scheme == "file" else f"{scheme}://bucket/results"
        raise ValueError(f"not a place for results: {text!r}; expected {scheme}:// as in {example}")
    given, known = {pair.partition("=")[0] for pair in urlsplit(text).query.split("&") if pair}, SCHEMES[scheme]
    if unknown := sorted(given - {*known}):
        what = f"allowed after the question mark: {', '.join(known)}" if known else f"{scheme}:// takes none"
        raise ValueError(f"unknown parameter {unknown[0][:40]!r} in the URL; {what}")
    return _short(text)


def _short(path: str) -> str:
    """The path as it is; ValueError if it, or a name in it, is longer than any file system takes."""
    for what, text, most in (("a path", path, LONGEST_PATH), *(("a name", n, LONGEST_NAME) for n in path.split("/"))):
        if (size := len(os.fsencode(text))) > most:
            raise ValueError(f"{what} of {size} bytes, {text[:40]}...; allowed: at most {most} bytes")
    return path


Text = Annotated[str, Field(min_length=1), AfterValidator(no_secret)]
UserPath = Annotated[Text, AfterValidator(user_path)]  # "~/x" -> "/home/me/x"
ResultsPlace = Annotated[Text, AfterValidator(results_place)]
