"""A method, an optimizer, a stream, a sink and a family of models from outside keep the contracts that ours keep."""

from __future__ import annotations

import ast
import shutil
from pathlib import Path
from typing import Any, ClassVar

import pytest
from extras.outer import Outer
from extras.sinks import Totals

from zfscale import spec
from zfscale.errors import SpecError
from zfscale.records import Sink
from zfscale.testing.sinks import SinkContract, example
from zfscale.testing.tiny import tiny_images
from zfscale.testing.trials import FamilyContract, LearnerContract, OptimizerContract, StreamContract
from zfscale.zo.leaves import Leaf

HERE = Path(__file__).parent


class TestReservoir(LearnerContract):
    """The method."""

    method: ClassVar = {"name": "extras.reservoir:Reservoir", "buffer": 9}


class TestSpectral(OptimizerContract):
    """The optimizer, with a direction and an update of its own."""

    optimizer: ClassVar = {"name": "extras.optimizers:SPECTRAL", "lr": 1e-3, "width": 3}


class TestDrifting(StreamContract):
    """The stream."""

    def blocks(self, folder: Path) -> dict[str, Any]:
        blocks = super().blocks(folder)
        return {**blocks, "stream": {**blocks["stream"], "kind": "extras.drift:Drifting", "noise": 20.0}}


class TestMlp(FamilyContract):
    """The family of models."""

    model: ClassVar = {"name": "extras.models:Mlp"}


class TestTotals(SinkContract):
    """The sink."""

    def make(self, root: Path) -> Sink:
        return Totals(example(root), Totals.Options())


def test_a_direction_is_of_low_rank_and_the_same_in_slices():
    leaves = [Leaf("w", (30, 40), 0, 1200, 0, 1200, 0), Leaf("b", (30,), 1200, 1230, 1200, 1230, 1200)]
    z = Outer(leaves, width=2).slice(5, 0, 1230)
    assert int((z[:1200].view(30, 40).svd().S > 1e-4).sum()) == 2
    assert set(z[1200:].tolist()) == {-1.0, 1.0}
    parts = [Outer(leaves, width=2).slice(5, a, b) for a, b in ((0, 77), (77, 1201), (1201, 1230))]
    assert [x for part in parts for x in part.tolist()] == z.tolist()


def test_only_public_names_are_used():
    """What is imported begins with no underscore, and of our tests nothing is."""
    for file in (HERE / "extras").glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("zfscale"):
                assert not any(part.startswith("_") for part in (node.module or "").split("."))
                assert not any(alias.name.startswith("_") for alias in node.names), file
            assert not (isinstance(node, ast.ImportFrom) and (node.module or "").startswith("tests"))


@pytest.fixture
def sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The sweep file that uses all five, in a directory of its own with its images."""
    monkeypatch.chdir(tmp_path)
    tiny_images(tmp_path / "images")
    return Path(shutil.copy(HERE / "all_five.yaml", tmp_path))


def test_the_sweep_is_valid(sweep: Path) -> None:
    trials = spec.load(sweep).trials
    assert len(trials) == 2
    assert {trial.method.filled().buffer for trial in trials} == {9}  # type: ignore[attr-defined]
    assert {trial.optimizer.filled().decay for trial in trials} == {0.5}  # type: ignore[attr-defined]
    assert {trial.stream.filled().noise for trial in trials} == {12.5}  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        ("noise: 12.5", "noise: -1", 3, "stream.noise: expected a number >= 0 and <= 255, got -1"),
        ("noise: 12.5", "nois: 1.0", 3, "stream.nois: unknown key; did you mean 'noise'?"),
        ("buffer: 9", "bufer: 9", 4, "method.bufer: unknown key; did you mean 'buffer'?"),
        (
            "buffer: 9",
            "alpha: 0.5",
            4,
            "method.alpha: 0.5 has no effect on extras.reservoir:Reservoir; it belongs to",
        ),
        ("reservoir:Reservoir", "reservoir:Nothing", 4, "method.name: "),
        ("width: 3", "width: 99", 8, "optimizer.width: expected an integer >= 1 and <= 8, got 99"),
        ("width: 3", "momentum: 0.5", 8, "optimizer.momentum: 0.5 has no effect on extras.optimizers:SPECTRAL"),
        ("folder: counts", "folder: 9", 15, "output.sinks[0].folder: expected text matching [a-z]+, got 9"),
    ],
)
def test_a_broken_option_has_its_line(sweep: Path, old: str, new: str, line: int, says: str) -> None:
    sweep.write_text(sweep.read_text().replace(old, new))
    with pytest.raises(SpecError) as caught:
        spec.load(sweep)
    assert str(caught.value).startswith(f"{sweep}:{line}: {says}")
