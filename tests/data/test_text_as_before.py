"""Plain UTF-8 text makes the same blocks in every version: results of earlier sweeps stay comparable."""

from __future__ import annotations

import gzip
import hashlib
import random
from pathlib import Path

import numpy as np
import pytest

from tests.data.poems import Counting
from zfscale.data.text import load_domain

WORDS = ["roses", "are", "red", "naïve", "виолетты", "are blue", "漢字", "🙂", "\n", "\n\n", "\r\n", "\t", "x" * 300]


@pytest.fixture
def tree(tmp_path: Path) -> str:
    """Sixty files: short and long ones, with all kinds of line ends and characters of one to four bytes."""
    draw = random.Random(7)
    for i in range(60):
        text = " ".join(draw.choice(WORDS) for _ in range(draw.choice((3, 40, 400, 9000))))
        file = tmp_path / "tree" / "abc"[i % 3] / f"{i:02}.txt"
        file.parent.mkdir(parents=True, exist_ok=True)
        content = text.encode()
        if i % 10 == 3:
            file, content = file.with_suffix(".txt.gz"), gzip.compress(content)
        file.write_bytes(content)
    return str(tmp_path / "tree" / "**" / "*")


@pytest.mark.parametrize(
    ("block", "tokens", "held_out", "expected"),
    [
        (32, None, 10**7, "47e289d906e22402 92094 10274 0.999866177"),
        (128, 100_000, 2048, "85501fe87a2a8f54 781 16 0.999880825"),
        (512, 512 * 1000, 512 * 100, "73e5d7c056fda45f 1000 100 0.999879267"),
    ],
)
def test_blocks_are_those_of_earlier_versions(tree, tokenizer: Counting, block, tokens, held_out, expected):
    domain = load_domain("tree", {"path": tree, "format": "text"}, tokenizer, block, tokens, held_out)
    assert (domain.train.dtype, domain.held_out.dtype) == (np.int32, np.int32)
    assert (domain.train.ndim, domain.train.shape[1], domain.held_out.shape[1]) == (2, block, block)
    found = hashlib.sha256(domain.train.tobytes() + domain.held_out.tobytes())
    assert (
        f"{found.hexdigest()[:16]} {len(domain.train)} {len(domain.held_out)} {domain.bytes_per_token:.9f}" == expected
    )
