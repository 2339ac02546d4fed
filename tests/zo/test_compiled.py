"""Compiled noise has the bits of eager noise, and where it cannot be compiled eager noise takes its place."""

from __future__ import annotations

import logging
import shutil
import subprocess
from collections.abc import Iterator

import pytest
import torch
from philox_reference import SEED
from toys import dense_of

from zfscale.zo.directions import base, compile, compiled, dense
from zfscale.zo.directions.base import CHUNK, GROUP
from zfscale.zo.directions.dense import NOISES
from zfscale.zo.philox import words_of

KINDS = sorted(NOISES)
COMPILER = pytest.mark.skipif(not (shutil.which("g++") or shutil.which("clang++")), reason="no C++ compiler")


@pytest.fixture(autouse=True)
def _afresh() -> Iterator[None]:
    """A kernel, or the failure to make one, is remembered by the process."""
    compiled.load.cache_clear()
    yield
    compiled.load.cache_clear()


@COMPILER
@pytest.mark.slow  # compiles for half a minute where this machine has not done so before
@pytest.mark.parametrize("kind", KINDS)
def test_compiled_noise_has_the_bits_of_eager(kind):
    kernel = compiled.load(kind, CHUNK, torch.device("cpu"))
    assert kernel is not None
    for seed in (0, 1, SEED, 2**63 - 1):
        for first in (0, CHUNK, 5 * CHUNK, 2**40 // CHUNK * CHUNK):
            assert torch.equal(kernel(seed, first), NOISES[kind](words_of(seed), first, CHUNK)), (seed, first)


@COMPILER
@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_large_noise_is_compiled_and_slices_as_small_noise_does(kind, monkeypatch):
    total = CHUNK + 5 * GROUP
    eager = dense_of(kind, total)
    monkeypatch.setattr(dense, "COMPILE_FROM", total)
    mask = lambda start, count: (torch.arange(start, start + count) % 3 > 0).float()  # noqa: E731
    quick, masked = dense_of(kind, total), dense_of(kind, total, mask=mask)
    assert quick._compiled is not None
    for a, b in ((0, total), (CHUNK - 7, CHUNK + 9), (total - 1, total)):
        assert torch.equal(quick.slice(SEED, a, b), eager.slice(SEED, a, b))
        assert torch.equal(masked.slice(SEED, a, b), eager.slice(SEED, a, b) * mask(a, b - a))


@pytest.mark.parametrize(
    "error",
    [
        subprocess.CalledProcessError(1, ["c"], stderr="first line\nno C++ compiler found"),
        subprocess.TimeoutExpired(["c"], 600),
        OSError("no C++ compiler found"),
    ],
    ids=lambda e: type(e).__name__,
)
@pytest.mark.parametrize("kind", KINDS)
def test_a_failing_compiler_leaves_eager_noise_and_a_warning(kind, error, monkeypatch, tmp_path, caplog):
    total = 3 * GROUP
    expected = dense_of(kind, total).slice(SEED, 5, total)

    def fail(*_args: object, **_options: object) -> None:
        raise error

    monkeypatch.setattr(subprocess, "run", fail)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(base, "CHUNK", GROUP)
    monkeypatch.setattr(dense, "COMPILE_FROM", total)
    with caplog.at_level(logging.WARNING):
        n = dense_of(kind, total)
    (record,) = caplog.records
    assert "not compiled" in record.getMessage()
    assert "first line" not in record.getMessage()
    if not isinstance(error, subprocess.TimeoutExpired):
        assert "no C++ compiler found" in record.getMessage()
    assert torch.equal(n.slice(SEED, 5, total), expected)
    assert not list(tmp_path.rglob("*.pt2"))


def test_small_noise_asks_for_no_compiler(monkeypatch):
    monkeypatch.setattr(compiled, "load", lambda *_: pytest.fail("asked"))
    n = dense_of("rademacher", dense.COMPILE_FROM - 1)
    assert n.slice(1, 0, 3).abs().tolist() == [1, 1, 1]


def test_a_kernel_is_known_by_all_it_depends_on(monkeypatch, tmp_path):
    before = compiled.fingerprint()
    assert compiled.fingerprint() == before
    with monkeypatch.context() as patch:
        patch.setattr(torch, "__version__", "0.0")
        assert compiled.fingerprint() != before
    with monkeypatch.context() as patch:
        patch.setattr(compiled, "SOURCES", compiled.SOURCES[:-1])
        assert compiled.fingerprint() != before
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert compiled.cache() == tmp_path / "zfscale"


@pytest.mark.parametrize("kind", KINDS)
def test_a_kernel_of_other_bits_is_not_kept(kind):
    """As a compiler makes one that fuses a product and a sum, or divides approximately: an element in a chunk."""

    def eager(seed: int, first: int) -> torch.Tensor:
        return NOISES[kind](words_of(seed), first, GROUP)

    def last_bit(seed: int, first: int) -> torch.Tensor:
        z = eager(seed, first)
        z.view(torch.int32)[7] ^= 1
        return z

    compile.check(eager, kind, GROUP, torch.device("cpu"))
    with pytest.raises(SystemExit, match=rf"^1 of 4096 elements of compiled {kind} noise on cpu are not"):
        compile.check(last_bit, kind, GROUP, torch.device("cpu"))
