"""These tests need a CUDA GPU. Without one they are skipped, and one line says so."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
import torch

NO_GPU = "no CUDA device"


@pytest.fixture
def cuda() -> torch.device:
    return torch.device("cuda", 0)


@pytest.fixture
def cpu() -> torch.device:
    return torch.device("cpu")


def pytest_collection_modifyitems(items: Iterable[pytest.Item]) -> None:
    if not torch.cuda.is_available():
        for item in items:
            if item.get_closest_marker("gpu"):
                item.add_marker(pytest.mark.skip(reason=NO_GPU))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    skipped = [report.longrepr[2] for report in terminalreporter.stats.get("skipped", ())]
    if count := sum(NO_GPU in reason for reason in skipped):
        terminalreporter.write_line(f"{NO_GPU}: {count} GPU tests skipped")
    for reason in sorted({reason for reason in skipped if NO_GPU not in reason and "CUDA" in reason}):
        terminalreporter.write_line(reason.removeprefix("Skipped: "))
