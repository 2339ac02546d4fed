"""Secrets are taken out of every text that is shown or written: an error may quote a URL, a header or a variable.

Two things are secret: the value of an environment variable whose name says so, wherever it stands, and text of a shape
that only secrets have, such as a bearer token or a signed URL. Of the variables:

- values of fewer than 8 characters are left (4, if the name says password or secret), as are `WORDS` such as `true`;
- values of fewer than 8 characters are taken out only where they stand alone: a password `hunter` leaves `hunters`;
- a path to a file that is there is left, and so is every variable whose name ends in PATH, FILE, DIR, SOCK or HOME;
- URL-encoded, quoted (repr, JSON) and one-line forms of a value are taken out as well.
"""

from __future__ import annotations

import functools
import json
import logging
import os
import re
from collections.abc import Iterator, Mapping
from urllib.parse import quote, quote_plus

HIDDEN = "***"
SHORTEST = 8  # characters; what is shorter may be any word
SHORTEST_PASSWORD = 4
WORDS = (
    "admin",
    "auto",
    "basic",
    "default",
    "disabled",
    "enabled",
    "false",
    "none",
    "required",
    "root",
    "test",
    "true",
)
PASSWORDS = re.compile(r"PASSWORD|PASSWD|PASSPHRASE|SECRET|(?:^|_)PASS(?:_|$)|PWD(?:_|$)", re.IGNORECASE)
NAMES = re.compile(
    rf"{PASSWORDS.pattern}|CREDENTIAL|CREDS?(?:_|$)|TOKENS?(?:_|\d|$)|(?:^|_)O?AUTH(?:_|$)"
    r"|(?:^|_|API|ACCESS|AUTH|PRIVATE|SIGNING|ENCRYPTION|MASTER|SSH)KEYS?(?:_|\d|$)",
    re.IGNORECASE,
)
NO_SECRETS = re.compile(r"^(?:OLD)?PWD$|(?:^|_)(?:PATH|FILE|DIR|SOCK|HOME)$", re.IGNORECASE)

_QUOTED = r"""(?P<q>\\?["'])(?:(?!(?P=q))(?:\\.|.))+"""  # up to the closing quote
_WORD = r"""[^\s"'&;,)\]}]+"""
_KNOWN = r"(?!<\w+>|\*\*\*|None\b|null\b)"  # taken out before, or nothing
_SECRET_KEY = (
    r"[\w.-]*(?:password|passwd|passphrase|secret|api[_-]?key|access[_-]?key|account[_-]?key|private[_-]?key)[\w-]*"
    r"|(?:[\w.-]*(?:access|api|auth|bearer|hf|id|refresh|security|session)[_-])token|[\w.-]*(?<![a-z])pwd(?![=:]\s*[/~])"
    r"|accesstoken|authtoken|credentials?"
)
_SIGNED = (
    r"X-(?:Amz|Goog)-(?:Signature|Credential|Security-Token)|Signature|sig|(?:AWS|Google)AccessKey(?:Id)?|Key-Pair-Id"
    r"|token|key|code|auth|jwt|pw|pass|sas|sid|session(?:[_-]?id)?"
)
_HEADERS = r"(?:proxy-)?authorization|x-api-key|api-key|x-auth-token|x-amz-security-token"
_SCHEMES = r"(?:bearer|basic|digest|token|apikey)\s+"
_NO_TOKENS = r"(?:tokens?|auth\w*|and|are|for|format|has|in|invalid|is|missing|must|not|of|or|required|scheme|to|was)\b"

# Each keeps its group `keep`; the rest of what it matches is the secret.
SHAPES = (
    re.compile(r"(?P<keep>)-----BEGIN [A-Z ]*PRIVATE KEY.*?(?:-----END [A-Z ]*PRIVATE KEY[A-Z ]*-----|\Z)", re.DOTALL),
    re.compile(r"(?P<keep>://)[^/\s]+(?=@)"),  # user:password@host
    re.compile(rf"(?i)(?P<keep>[?&;](?:{_SIGNED})=){_KNOWN}[^&\s\"'<>]+"),
    re.compile(
        rf"(?i)(?P<keep>\b(?:{_HEADERS})\\?[\"']?\s*[:=,]\s*(?:b?\\?[\"'])?(?:{_SCHEMES})?)(?!\s|b?\\?[\"']|{_SCHEMES}){_KNOWN}[^\s\"',;\\]+"
    ),
    re.compile(  # all of them, to the end of the line or the quote
        r"(?i)(?P<keep>\b(?:set-)?cookie(?:\\?[\"']?\s*[:=]|\\?[\"']\s*,)\s*(?:b?\\?[\"'])?)"
        rf"{_KNOWN}[^\s\"'\\][^\"'\\\n]*"
    ),
    re.compile(rf"(?i)(?P<keep>(?<!\S)--(?:password|token|secret|api-key)[ =]){_KNOWN}(?!{_NO_TOKENS})[^\s\"']+"),
    re.compile(rf"(?i)(?P<keep>\bbearer\s+){_KNOWN}(?!{_NO_TOKENS})[\w.~+/=-]+"),
    re.compile(rf"(?i)(?P<keep>(?<![\w.-])(?:{_SECRET_KEY})\\?[\"']?\s*(?:=|=>|:=)\s*){_KNOWN}(?:{_QUOTED}|{_WORD})"),
    # After a colon, where a sentence may follow, a word without quotes ends the line or the item.
    re.compile(
        rf"(?i)(?P<keep>(?<![\w.-])(?:{_SECRET_KEY})\\?[\"']?\s*:\s*){_KNOWN}(?:{_QUOTED}|{_WORD}(?=[;,)\]}}]|\s*$|\s*\n))"
    ),
    re.compile(
        r"(?P<keep>)(?<![A-Za-z0-9])(?:hf_[A-Za-z0-9]{20,}|gh[opusr]_[A-Za-z0-9]{20,}|github_pat_\w{20,}|glpat-[\w-]{20,}"
        r"|sk-(?=[\w-]*\d)[\w-]{16,}|xox[abeoprs]-[\w-]{10,}|AIza[\w-]{35}|ya29\.[\w-]{20,}|pypi-[\w-]{20,}"
        r"|[sr]k_(?:live|test)_[A-Za-z0-9]{16,}|npm_[A-Za-z0-9]{30,}|nvapi-[\w-]{20,}|do[opr]_v1_[0-9a-f]{32,}"
        r"|r8_[A-Za-z0-9]{30,}|(?<=hooks\.slack\.com/services/)[\w/]+"
        r"|wandb_v1_\w{20,}|(?:AKIA|ASIA)[A-Z0-9]{16}(?![A-Za-z0-9])|eyJ[\w-]{8,}\.[\w-]{8,}(?:\.[\w-]+)*)"
    ),
)


def redact(text: str, environment: Mapping[str, str] = os.environ) -> str:
    """The text without the values of environment variables that are named like secrets, and without `SHAPES`.

    >>> redact("403 for https://me:pw@host with 0123456789", {"HF_TOKEN": "0123456789"})
    '403 for https://***@host with <HF_TOKEN>'
    """
    names = {form: name for name, value in environment.items() for form in _forms(name, value) if form in text}
    if names:
        longest_first = sorted(names, key=len, reverse=True)  # one value may begin with another
        pattern = "|".join(_alone(form) if len(form) < SHORTEST else re.escape(form) for form in longest_first)
        text = re.sub(pattern, lambda found: f"<{names[found[0]]}>", text)
    for shape in SHAPES:
        text = shape.sub(_hide, text)
    return text


@functools.lru_cache(maxsize=1024)
def looks_secret(text: str) -> bool:
    """Whether some of the text has the shape of a secret.

    >>> looks_secret("s3://bucket/a?sig=abc"), looks_secret("s3://bucket/a")
    (True, False)
    """
    return any(shape.search(text) for shape in SHAPES)


class Redacted(logging.Formatter):
    """Formats log records, tracebacks included, without secrets."""

    def format(self, record: logging.LogRecord) -> str:
        """The line as `logging.Formatter` makes it, redacted."""
        return redact(super().format(record))


def _forms(name: str, value: str) -> Iterator[str]:
    """The ways in which the value of a secret variable may stand in a text; none if the variable is no secret."""
    value = value.strip()
    if not NAMES.search(name) or NO_SECRETS.search(name) or value.lower() in WORDS:
        return
    if len(value) < (SHORTEST_PASSWORD if PASSWORDS.search(name) else SHORTEST) or _is_file(value):
        return
    escaped = quote(value, safe="")
    lines = [line for line in map(str.strip, value.splitlines()[:-1]) if len(line) >= 2 * SHORTEST]
    yield from (value, " ".join(value.split()), repr(value)[1:-1], *lines)
    yield from (json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1])
    yield from (escaped, re.sub("%..", lambda code: code[0].lower(), escaped), quote(value), quote_plus(value))


def _is_file(value: str) -> bool:
    try:
        return value.startswith(("/", "~", ".")) and os.path.exists(os.path.expanduser(value))
    except ValueError:  # a NUL in it
        return False


def _alone(form: str) -> str:
    return rf"(?<!\w){re.escape(form)}(?!\w)"


def _hide(found: re.Match[str]) -> str:
    quoted = found.groupdict().get("q") or ""
    return f"{found['keep']}{quoted}{HIDDEN}"
