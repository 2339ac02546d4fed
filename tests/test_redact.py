"""Secrets do not reach the tables."""

from __future__ import annotations

import pyarrow.parquet as pq
import pytest

from zfscale.records import Outcome
from zfscale.redact import redact
from zfscale.sinks.parquet import ParquetSink

SECRET = "0123456789abcdef"


@pytest.mark.parametrize(
    "name", ["WANDB_API_KEY", "HF_TOKEN", "RAY_AUTH_TOKEN", "AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID", "db_password"]
)
def test_values_of_variables_named_like_secrets_are_taken_out(name):
    assert redact(f"a {SECRET} b", {name: SECRET}) == f"a <{name}> b"


@pytest.mark.parametrize(
    ("text", "environment"),
    [
        (f"a {SECRET} b", {"HOME": SECRET, "MONKEY": SECRET, "TOKENIZERS_PARALLELISM": SECRET}),
        ("a true b", {"USE_TOKEN": "true"}),
        ("s3://bucket/x and me@host", {}),
    ],
)
def test_other_text_stays(text, environment):
    assert redact(text, environment) == text


def test_users_and_passwords_of_urls_are_taken_out():
    assert redact("get https://me:pw@host/x, s3://key@bucket", {}) == "get https://***@host/x, s3://***@bucket"


def test_the_error_of_a_failed_trial_holds_no_secret(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_API_KEY", SECRET)
    error = f"RuntimeError: login failed with {SECRET} at https://user:{SECRET}@host"
    ParquetSink(tmp_path, "t", "{}", {}).close(Outcome("failed", error=error))
    (told,) = pq.read_table(tmp_path / "trials")["error"].to_pylist()
    assert told == "RuntimeError: login failed with <WANDB_API_KEY> at https://***@host"
