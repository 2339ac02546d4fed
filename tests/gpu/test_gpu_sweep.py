"""Ray gives two trials half a GPU each: they run on it at the same time."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pyarrow.dataset as ds
import pytest
import torch

from tests.conftest import sweep_file
from zfscale.results.layout import TRIALS, file_of, starts_of

pytestmark = [pytest.mark.gpu, pytest.mark.timeout(600)]


def test_two_trials_share_a_gpu(tmp_path, tiny_vit, image_folder):
    file = sweep_file(
        tmp_path / "s.yaml",
        tiny_vit,
        image_folder,
        train={"epochs": 300, "batch_size": 8},  # long enough to meet, however unevenly the two workers start
        resources={"cpus": 1, "gpus": 0.5},
    )
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0]
    command = [sys.executable, "-m", "zfscale", "run", str(file)]
    env = os.environ | {"CUDA_VISIBLE_DEVICES": visible}
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr[-3000:]
    results = tmp_path / "results" / "small"
    rows = ds.dataset(results / TRIALS, format="parquet").to_table().to_pylist()
    assert [row["status"] for row in rows] == ["finished"] * 2
    assert {json.loads(row["versions"])["device"] for row in rows} == {torch.cuda.get_device_name()}
    started = [(results / starts_of(row["trial_id"])).stat().st_mtime for row in rows]
    ended = [(results / file_of(TRIALS, row["trial_id"])).stat().st_mtime for row in rows]
    assert max(started) < min(ended), "one trial waited for the other"
