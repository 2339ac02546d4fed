"""The file of a trial's row: written without compression, and sealed as any other."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from zfscale.results.seal import intact, parquet


@pytest.mark.parametrize("rows", [0, 1, 2])
def test_a_single_row_is_not_compressed_and_reads_as_any(rows: int) -> None:
    table = pa.table({"trial_id": ["a" * 12] * rows, "avg_accuracy": pa.array([0.5] * rows, pa.float64())})
    data = parquet(table, sealed=True)
    assert intact(data)
    assert pq.read_table(pa.BufferReader(data)).equals(table)
    groups = pq.ParquetFile(pa.BufferReader(data)).metadata
    found = {groups.row_group(g).column(c).compression for g in range(groups.num_row_groups) for c in range(2)}
    assert found == ({"UNCOMPRESSED"} if rows == 1 else {"ZSTD"} if rows else found)
