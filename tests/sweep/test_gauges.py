"""What Prometheus is told: the display's numbers, each trial in one state; and, of a real run, by Ray's exporter."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
import time
import urllib.request
from types import SimpleNamespace

import pytest

from tests.conftest import sweep_file
from zfscale.results.forecast import Eta
from zfscale.sweep import gauges
from zfscale.sweep.progress import Progress

HELD = "no exporter without ray[default], as pip install 'zfscale[cluster]' has it"


@pytest.fixture
def told(monkeypatch):
    """Name and tags of a gauge -> the value that it was set to last."""
    found = {}

    class Gauge:
        def __init__(self, name, description, tag_keys):
            self.name, self.keys = name, set(tag_keys)

        def set(self, value, tags):
            assert set(tags) == self.keys
            place = (self.name, *tags.values())
            found[place] = value

    monkeypatch.setattr(gauges, "Gauge", Gauge)
    monkeypatch.setattr(gauges, "_say", lambda: True)
    return found


def display(**more):
    shown = {
        "already": 1,
        "done": 5,
        "failed": 2,
        "stopped": 1,
        "running": {"t": ("a", 0.0)},
        "eta": None,
        "best": None,
    }
    made = SimpleNamespace(plan=SimpleNamespace(trials=dict.fromkeys(range(10))), **{**shown, **more})
    made.search = SimpleNamespace(metric="avg_accuracy")
    made.counts = Progress.counts.__get__(made)
    return made


def test_each_trial_is_in_one_state(told):
    gauges.Gauges("s").tell(display())
    assert told == {
        ("zfscale_trials", "s", "left"): 3,
        ("zfscale_trials", "s", "running"): 1,
        ("zfscale_trials", "s", "finished"): 3,
        ("zfscale_trials", "s", "failed"): 2,
        ("zfscale_trials", "s", "stopped"): 1,
    }


def test_time_left_and_best_come_once_they_are_known(told):
    gauges.Gauges("s").tell(display(eta=Eta(60.0, 30.0, 90.0), best=(0.75, "zo-sgd")))
    assert told["zfscale_eta_seconds", "s"] == 60.0
    assert told["zfscale_best", "s", "avg_accuracy"] == 0.75


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.skipif(not importlib.util.find_spec("prometheus_client"), reason=HELD)
def test_rays_exporter_serves_a_run(tmp_path, tiny_vit, image_folder):
    file = sweep_file(tmp_path / "s.yaml", tiny_vit, image_folder, train={"epochs": 3000, "batch_size": 8})
    run = subprocess.Popen([sys.executable, "-m", "zfscale", "run", str(file)], stderr=subprocess.PIPE, text=True)
    try:
        assert run.stderr is not None
        said = next(found for line in run.stderr if (found := re.search(r"http://\S+/metrics", line)))
        served = []
        for _ in range(60):
            text = urllib.request.urlopen(said[0], timeout=30).read().decode()
            served = re.findall(r'ray_zfscale_trials\{.*state="running",sweep="small"\} (\S+)', text)
            if served and float(served[0]):
                break
            time.sleep(1)
        assert 0 < float(served[0]) <= 2
    finally:
        run.terminate()
        run.communicate()
