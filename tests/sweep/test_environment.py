"""What is settled before Ray: variables, and the signals by which a scheduler says that time is up."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from zfscale.sweep.environment import as_ctrl_c, environment

LOOP = """
import os, signal, sys, time
from zfscale.sweep.environment import as_ctrl_c
if sys.argv[1] == "background":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
try:
    with as_ctrl_c():
        print("go", flush=True)
        time.sleep(60)
except KeyboardInterrupt:
    print("stopped", flush=True)
"""


@pytest.fixture(autouse=True)
def plain(monkeypatch):
    for name in [name for name in os.environ if name.startswith("RAY_")]:
        monkeypatch.delenv(name)


@pytest.mark.parametrize("where", ["foreground", "background"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_a_scheduler_s_signal_is_ctrl_c(where, number):
    child = subprocess.Popen([sys.executable, "-c", LOOP, where], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline() == "go\n"
    began = time.monotonic()
    child.send_signal(number)
    assert child.communicate(timeout=30)[0] == "stopped\n"
    assert time.monotonic() - began < 20
    assert child.returncode == 0


def test_signals_call_what_handles_ctrl_c_now_and_are_given_back():
    calls, before = [], signal.getsignal(signal.SIGUSR1)
    interrupt = signal.signal(signal.SIGINT, lambda number, _frame: calls.append(number))
    try:
        with as_ctrl_c():
            signal.raise_signal(signal.SIGUSR1)
            signal.raise_signal(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGINT, interrupt)
    assert calls == [signal.SIGINT, signal.SIGINT]
    assert signal.getsignal(signal.SIGUSR1) == before


def test_a_cluster_of_our_own_asks_for_a_token_of_its_own_and_stays_on_this_machine():
    tokens = set()
    for _ in range(2):
        with environment("local"):
            assert os.environ["RAY_AUTH_MODE"] == "token"
            assert os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] == "0"
            tokens.add(os.environ["RAY_AUTH_TOKEN"])
    assert len(tokens) == 2
    assert all(len(token) == 64 for token in tokens)
    assert not [name for name in os.environ if name.startswith("RAY_")]


def test_what_the_user_has_set_stays(monkeypatch):
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    with environment("local"):
        assert os.environ["RAY_AUTH_MODE"] == "disabled"
        assert "RAY_AUTH_TOKEN" not in os.environ
    assert os.environ["RAY_AUTH_MODE"] == "disabled"


def test_a_cluster_that_runs_is_not_given_a_token():
    with environment("10.0.0.1:6379"):
        assert not {"RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"} & set(os.environ)
