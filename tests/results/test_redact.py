"""Secrets reach neither the tables nor the screen, and ordinary messages stay as they are."""

from __future__ import annotations

import json
import logging
import os
import string
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote, quote_plus

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zfscale import cli
from zfscale.commands import sweeps
from zfscale.errors import DataError, one_line
from zfscale.records import Outcome, Status
from zfscale.results.redact import Redacted, looks_secret, redact
from zfscale.sinks.about import About
from zfscale.sinks.fanout import Fanout
from zfscale.sinks.parquet import ParquetSink

SECRET = "0123456789abcdef"
NAMES = [
    *("WANDB_API_KEY", "HF_TOKEN", "RAY_AUTH_TOKEN", "AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID", "db_password"),
    *("MYSQL_PWD", "PGPASSWORD", "OPENAI_APIKEY", "DB_PASS", "GITHUBTOKEN", "AZURE_CREDENTIALS", "GOOGLE_CREDS"),
    *("HTTP_AUTH", "SSH_PASSPHRASE", "CLIENT_SECRET", "KEY", "TOKEN", "SIGNING_KEY_2", "OPENAI_API_KEYS"),
]
SHAPES = {  # text with "@@" for a secret part
    "Authorization: Bearer @@": "abc.def-123",
    "{'Authorization': 'Bearer @@'}": "xyzzy123",
    "[(b'authorization', b'Basic @@')]": "dXNlcjpwdw==",
    "x-api-key: @@": "q1w2e3",
    "invalid bearer @@": "xyz",
    "key @@ is invalid": "sk-proj-abcdefghij1234567890",
    "token @@": "hf_" + "aB3" * 12,
    "token: @@!": "ghp_" + "aB3" * 12,
    "from @@,": "AKIA" + "Z7" * 8,
    "from '@@'": "ASIA" + "Z7" * 8,
    "posted as @@": "xoxb-1234567890-abcdef",
    "with @@ of": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc-DEF",
    "GET https://b.s3.amazonaws.com/k?X-Amz-Date=1&X-Amz-Signature=@@&y=1": "0af3",
    "GET https://b.s3.amazonaws.com/k?X-Amz-Credential=@@": "me%2F20260101%2Fs3",
    "GET https://b.s3.amazonaws.com/k?X-Amz-Security-Token=@@": "IQoJb3%2F",
    "GET https://x.blob.core.windows.net/x?sv=1&sig=@@&se=2": "abc%3D",
    "GET https://storage.googleapis.com/x?Signature=@@": "abc",
    "GET https://b.s3.amazonaws.com/k?AWSAccessKeyId=@@&Expires=1": "me",
    "GET https://host/x?token=@@": "abc",
    "host=db password=@@ dbname=x": "hunter2",
    "Server=db;Pwd=@@;Uid=me": "hunter2",
    '{"password": "@@", "user": "me"}': "hun ter2",
    '"{\\"password\\": \\"@@\\"}" rest': "hun ter2",
    "password: @@": "hunter2",
    "aws_secret_access_key = @@": "wJalrXUtnFEMI/K7MDENG",
    "AccountKey=@@": "abc==",
    "get https://@@@host/x": "me:p@w",
    "key\n@@\nrest": "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----",
    "Cookie: @@": "theme=dark; session=abc123",
    "{'cookie': '@@', 'a': 1}": "theme=dark; session=abc123",
    "hf --token @@ x": "abc123",
    "stripe @@": "sk_live_abcdefghijklmnop",
    "npm @@": "npm_" + "aB3" * 12,
    "post https://hooks.slack.com/services/@@ x": "T00/B00/aB3",
    "cut @@": "-----BEGIN PRIVATE KEY-----\nMIIE\nabc",
}
ORDINARY = [
    "s3://bucket/x and me@host",
    "KeyError: 'token'",
    "key error: no such key",
    "model.train: 'x' is no pattern; allowed: full, adapter, such as k_proj.weight",
    "stream.held_out_tokens: 0 held-out tokens; tokens_per_domain: 5, max_tokens=100, pad_token='<pad>'",
    "the bearer token is missing; password: must not be empty",
    "PWD=/home/me and OLDPWD=/tmp",
    "task-12345678901234567890 of risk-12345678901234567890",
    "output.wandb.secret: unknown key; allowed: mode, project",
    "https://host/x?revision=main&signal=3",
    "api_key=None",
    "the option --token is missing; a cookie, as it was set",
    "hf_small owner/name sha256:0123456789abcdef0123456789abcdef",
    "File 'a.py', line 3, in f\n    password = None",
]


@pytest.mark.parametrize("name", NAMES)
def test_values_of_variables_named_like_secrets_are_taken_out(name):
    assert redact(f"a {SECRET} b", {name: SECRET}) == f"a <{name}> b"


@pytest.mark.parametrize(
    "name", ["HOME", "MONKEY", "KEYBOARD", "TOKENIZERS_PARALLELISM", "GIT_AUTHOR", "COMPASS", "PWD", "SSH_KEY_PATH"]
)
def test_other_variables_are_no_secrets(name):
    assert redact(f"a {SECRET} b", {name: SECRET}) == f"a {SECRET} b"


@pytest.mark.parametrize(
    ("text", "environment", "expected"),
    [
        ("a true b", {"USE_TOKEN": "true"}, "a true b"),
        ("mode disabled", {"RAY_AUTH": "disabled"}, "mode disabled"),
        ("a abc123 b", {"API_KEY": "abc123"}, "a abc123 b"),
        ("hunter, hunters", {"PGPASSWORD": "hunter"}, "<PGPASSWORD>, hunters"),
        ("a abc b", {"PGPASSWORD": "abc"}, "a abc b"),
        ("abcdefgh-ijkl", {"A_KEY": "abcdefgh", "B_KEY": "abcdefgh-ijkl"}, "<B_KEY>"),
        (__file__, {"APPLICATION_CREDENTIALS": __file__}, __file__),
        ("one line: two words of it", {"MY_SECRET": "two words\nof it"}, "one line: <MY_SECRET>"),
    ],
)
def test_which_values_are_taken_out(text, environment, expected):
    assert redact(text, environment) == expected


@pytest.mark.parametrize("text", SHAPES)
def test_what_has_the_shape_of_a_secret_is_taken_out(text):
    given = text.replace("@@", SHAPES[text], 1)
    expected = text.replace("@@", "***", 1)
    assert redact(given, {}) == expected
    assert redact(expected, {}) == expected
    assert looks_secret(given)


@pytest.mark.parametrize("text", ORDINARY)
def test_ordinary_messages_stay(text):
    assert redact(text, {}) == text


VALUES = st.text(string.printable.strip() + " é\n", min_size=8, max_size=40).filter(lambda v: len(v.strip()) >= 8)


@given(VALUES, st.text(max_size=20), st.text(max_size=20), st.sampled_from(["A_TOKEN", "PGPASSWORD"]))
def test_a_value_is_nowhere_in_a_redacted_text(value, before, after, name):
    forms: list[Callable[[str], str]] = [
        str,
        repr,
        json.dumps,
        quote,
        quote_plus,
        lambda v: quote(v, safe=""),
        lambda v: one_line(ValueError(v)),
    ]
    for form in forms:
        told = redact(before + form(value) + after, {name: value})
        if value.strip() not in f"<{name}>" and not before:
            assert form(value).strip("'\" ") not in told
        assert value.strip() not in told


def test_a_long_message_is_redacted_before_it_is_cut(monkeypatch):
    monkeypatch.setenv("MY_TOKEN", SECRET)
    for length in range(60, 100):
        assert "0123" not in one_line(ValueError("x" * length + " " + SECRET), limit=100)


def test_the_error_of_a_failed_trial_holds_no_secret(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_API_KEY", SECRET)
    error = f"RuntimeError: login failed with {SECRET} at https://user:{SECRET}@host"
    Fanout([ParquetSink(About(tmp_path, "t"))]).close(Outcome(Status.FAILED, error=error))
    (told,) = pq.read_table(tmp_path / "trials")["error"].to_pylist()
    assert told == "RuntimeError: login failed with <WANDB_API_KEY> at https://***@host"


@pytest.mark.parametrize("error", [DataError(f"403 with {SECRET}"), OSError(f"403 with {SECRET}")])
def test_the_screen_shows_no_secret(error, monkeypatch, capsys, tmp_path: Path):
    monkeypatch.setenv("MYSQL_PWD", SECRET)

    def fail(args):
        raise error

    monkeypatch.setattr(sweeps, "validate", fail)
    assert cli.main(["validate", str(tmp_path / "x.yaml")]) == 2
    assert capsys.readouterr().err == "403 with <MYSQL_PWD>\n"


def test_a_log_line_holds_no_secret(monkeypatch):
    monkeypatch.setenv("MYSQL_PWD", SECRET)
    record = logging.LogRecord("x", logging.WARNING, __file__, 1, "failed: %s", (SECRET,), None)
    assert Redacted("%(message)s").format(record) == "failed: <MYSQL_PWD>"


def test_a_warning_of_the_command_holds_no_secret(tmp_path):
    code = (
        "import logging; from zfscale import cli; from zfscale.commands import sweeps; "
        "sweeps.validate = lambda args: logging.getLogger('x').warning('failed: %s', 'PASS' + '0123456789') or 0; "
        "cli.main(['validate', 'x.yaml'])"
    )
    environment = os.environ | {"MYSQL_PWD": "PASS0123456789"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60)
    assert done.stderr == "failed: <MYSQL_PWD>\n"
