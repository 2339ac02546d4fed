"""`zfscale workspace` against a stand-in of W&B's server: what is saved, that it is one view, and what is refused."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import wandb

from tests.conftest import sweep_file
from tests.sinks.test_wandb import history, runs, trial
from tests.sinks.test_wandb_sync import KEY
from tests.sinks.wandb_server import Tally, serving
from zfscale import cli, spec
from zfscale.results.layout import WORKSPACE
from zfscale.results.plan import Plan
from zfscale.results.storage import storage
from zfscale.sinks.wandb_sweep import COUNTS
from zfscale.sinks.wandb_workspace import sections
from zfscale.sweep.progress import Progress

REFUSED = "secret"


@pytest.fixture
def file(tmp_path, tiny_vit, image_folder) -> Path:
    output = {"dir": str(tmp_path / "results"), "wandb": {"mode": "online", "project": "proj"}}
    return sweep_file(tmp_path / "s.yaml", tiny_vit, image_folder, output=output)


@pytest.fixture
def server(monkeypatch) -> Iterator[Tally]:
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    wandb.teardown()
    with serving(refuse=(REFUSED,), key=KEY) as tally:
        monkeypatch.setenv("WANDB_BASE_URL", tally.url)
        yield tally
        wandb.teardown()


def panels(view: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Section -> the settings of its panels."""
    found = json.loads(view["spec"])["section"]["panelBankConfig"]["sections"]
    return {section["name"]: [panel["config"] for panel in section["panels"]] for section in found}


def saved(file: Path, capsys, *options: str) -> str:
    assert cli.main(["workspace", str(file), *options]) == 0
    return capsys.readouterr().out.strip()


def test_it_shows_the_runs_of_the_sweep_and_what_they_log(file, server, tmp_path, capsys):
    url = saved(file, capsys)
    (view,) = server.views.values()
    assert url == f"{server.url}/me/proj?nw={view['name'][3:-2]}"
    assert (view["entityName"], view["projectName"], view["displayName"]) == ("me", "proj", "small")
    (listed,) = json.loads(view["spec"])["section"]["runSets"]
    (mine,) = listed["filters"]["filters"]
    assert (mine["key"], mine["op"], mine["value"]) == ({"section": "run", "name": "group"}, "=", "small")
    assert [key["name"] for key in listed["grouping"]] == ["method.value.name", "optimizer.value.name"]
    shown = panels(view)
    assert [(panel["xAxis"], *panel["metrics"]) for panel in shown["training"]] == [
        ("step", "loss"),
        ("forwards", "loss"),
        ("step", "lr"),
    ]
    assert [(panel["xAxis"], *panel["metrics"]) for panel in shown["stages"]] == [("stage", "stage_accuracy")]
    measures = [name for panel in shown["measures"] for name in panel["metrics"]]
    assert measures[:3] == ["avg_accuracy", "last_accuracy", "forgetting"]
    assert "accuracy_matrix" in json.dumps(shown["matrices"])
    assert shown["sweep"][0]["metrics"] == ["best_avg_accuracy"]
    assert {"left", "running", "finished", "failed"} <= set(shown["sweep"][1]["metrics"])


def test_what_it_shows_of_trials_is_logged(file, server, tmp_path, capsys):
    saved(file, capsys)
    (view,) = server.views.values()
    shown = panels(view)
    wandb.teardown()
    trial(tmp_path)
    logged = set().union(*history(runs(tmp_path)[0]))
    drawn = {name for part in ("training", "stages") for panel in shown[part] for name in panel["metrics"]}
    assert {*drawn, *(panel["xAxis"] for panel in shown["training"] + shown["stages"])} <= logged


def test_what_it_shows_of_the_sweep_is_told(file, tmp_path):
    sweep = spec.load(file)
    assert set(Progress(sweep, storage(tmp_path, "small"), Plan()).counts) == set(COUNTS)


def test_domains_have_losses(tmp_path, server):
    sweep = spec.load(Path(__file__).parents[2] / "sweeps" / "lm_cpt.yaml")
    by_name = {section.name: section.panels for section in sections(sweep)}
    assert [panel.y for panel in by_name["stages"]] == [["stage_loss"], ["upstream_loss"]]
    assert [panel.table_name for panel in by_name["matrices"]] == ["loss_matrix"]


def test_saved_again_it_is_the_same_view(file, server, tmp_path, capsys):
    url = saved(file, capsys)
    assert saved(file, capsys) == url
    assert len(server.views) == 1
    server.views.clear()
    assert saved(file, capsys) != url, "of a view that is gone, a new one is made"
    assert saved(file, capsys, "--set", "output.wandb.project=other").split("?")[0] == f"{server.url}/me/other"
    assert len(server.views) == 2
    assert (tmp_path / "results" / "small" / WORKSPACE).exists()


def test_what_the_server_refuses_is_an_error_of_one_line(file, server, capsys):
    assert cli.main(["workspace", str(file), "--set", f"output.wandb.project={REFUSED}"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"W&B did not save a workspace in project '{REFUSED}': ")
    assert "permission denied" in err
    assert err.count("\n") == 1


def test_a_key_that_is_none_is_an_error_of_one_line(file, server, monkeypatch, capsys):
    monkeypatch.setenv("WANDB_API_KEY", "other" * 8)
    assert cli.main(["workspace", str(file)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("W&B: Failed to authenticate")


def test_a_sweep_without_wandb_has_no_workspace(file, capsys):
    assert cli.main(["workspace", str(file), "--set", "output.wandb.mode=disabled"]) == 2
    assert capsys.readouterr().err == f"{file}: output.wandb.mode is disabled, so that W&B has no runs to show\n"


def test_a_package_that_is_missing_is_named_with_its_extra(file, monkeypatch, capsys):
    for name in [name for name in sys.modules if name.startswith("wandb_workspaces")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "wandb_workspaces", None)
    assert cli.main(["workspace", str(file)]) == 2
    told = "a workspace of W&B needs the package wandb-workspaces: pip install 'zfscale[workspace]'\n"
    assert capsys.readouterr().err == told


def test_help_does_not_import_it():
    code = (
        "import sys, zfscale.arguments as a; a.parser().format_help(); print([m for m in sys.modules if 'wandb' in m])"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == "[]\n"
