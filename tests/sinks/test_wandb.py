"""Offline runs, read back by `wandb leet inspect`; and a W&B that breaks."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import wandb

from tests.conftest import sweep_file
from zfscale import spec
from zfscale.records import Eval, Outcome, Status, Step
from zfscale.results.layout import note_of
from zfscale.results.plan import Plan
from zfscale.results.storage import storage
from zfscale.sinks.about import About
from zfscale.sinks.catalogue import SINKS, Chosen
from zfscale.sinks.guard import View
from zfscale.sinks.wandb import run_name, tags
from zfscale.spec import WandbSpec
from zfscale.sweep.progress import Progress

CONFIG = {"method": {"name": "ease"}, "optimizer": {"name": "zo-sgd", "lr": 0.1}, "seed": 0}
OUTCOME = Outcome(
    Status.FINISHED,
    {
        "avg_accuracy": 0.75,
        "last_accuracy": 0.5,
        "forgetting": 0.1,
        "bwt": -0.1,
        "seconds": 1.5,
        "forwards": 6,
        "peak_memory_bytes": 9,
    },
)
SECRET = "5ec2e7" * 7


NOTE = note_of("wandb")


def opened(root, trial_id="t1", mode="offline"):
    options = WandbSpec(mode=mode, project="proj")
    return View(Chosen("wandb", SINKS["wandb"], options), About(root, trial_id, json.dumps(CONFIG), sweep="demo"))


def trial(root, outcome=OUTCOME, trial_id="t1", mode="offline"):
    sink = opened(root, trial_id, mode)
    for task in (1, 2):
        for step in range(3):
            sink.step(Step(task, step, 1.0 / task, 0.1, 3 * (task - 1) + step, 0.1))
        for seen in range(1, task + 1):
            sink.eval(Eval(task, seen, "accuracy", seen / 10))
        sink.eval(Eval(task, 0, "stage_accuracy", task / 10))
    sink.close(outcome)


def runs(root, trial_id="t1"):
    return sorted((root / "wandb" / trial_id[:2] / "wandb").glob(f"*run-*-{trial_id}*"))


def inspect(run, *options):
    command = [Path(sys.executable).with_name("wandb"), "leet", "inspect", "--json", *options, run]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def history(run):
    records = [json.loads(line) for line in inspect(run).splitlines()]
    return [record["history"]["item"] for record in records if record["type"] == "history"]


def warnings(caplog):
    return [record.getMessage() for record in caplog.records if record.name.startswith("zfscale")]


def test_losses_of_domains_are_a_curve_and_a_matrix(tmp_path):
    sink = opened(tmp_path)
    for stage in range(3):
        for task in (1, 2):
            sink.eval(Eval(stage, task, "loss", stage + task / 10))
            sink.eval(Eval(stage, task, "perplexity", 9.0))
        sink.eval(Eval(stage, 0, "stage_loss", stage + 0.15))
        sink.eval(Eval(stage, 0, "upstream_loss", 5.0))
    sink.close(Outcome(Status.FINISHED, {"final_loss": 2.15, "tokens": 64}))
    (run,) = runs(tmp_path)
    found = json.loads(inspect(run, "--summary"))["summary"]
    assert (found["final_loss"], found["tokens"], found["loss_matrix"]["nrows"]) == (2.15, 64, 6)
    assert "avg_accuracy" not in found
    curve = [row["stage_loss"] for row in history(run) if "stage_loss" in row]
    assert curve == [0.15, 1.15, 2.15]


def test_an_offline_run_holds_config_history_and_summary(tmp_path, capfd):
    trial(tmp_path)
    assert capfd.readouterr() == ("", "")
    (run,) = runs(tmp_path)
    assert run.name.startswith("offline-run-")

    found = json.loads(inspect(run, "--summary"))
    assert (found["config"], found["name"], found["project"]) == (CONFIG, "ease zo-sgd seed 0", "proj")
    assert (found["run_id"], found["state"], found["exit_code"]) == ("t1", "finished", 0)
    assert found["summary"]["avg_accuracy"] == 0.75
    assert found["summary"]["peak_memory_bytes"] == 9
    assert found["summary"]["status"] == "finished"
    assert found["summary"]["accuracy_matrix"]["nrows"] == 3

    rows = history(run)
    steps = [(row["step"], row["loss"], row["forwards"]) for row in rows if "loss" in row]
    assert steps == [(2, 1.0, 2), (5, 0.5, 5)]  # a row of up to ten steps, of one task
    assert [row["stage_accuracy"] for row in rows if "stage" in row] == [0.1, 0.2]


@pytest.mark.parametrize(("every", "told"), [(1, 7), (3, 3), (100, 1)])
def test_a_row_stands_for_so_many_steps(tmp_path, every, told):
    options = WandbSpec(mode="offline", project="proj", every=every)
    sink = View(Chosen("wandb", SINKS["wandb"], options), About(tmp_path, "t1", json.dumps(CONFIG), sweep="demo"))
    losses = [3.0, math.nan, 1.0, 2.0, 4.0, 6.0, math.nan]
    for step, loss in enumerate(losses):
        sink.step(Step(1, step, loss, 0.1 * step, 2 * step, 0.1))
        sink.eval(Eval(2, 1, f"old_loss@{step}", 0.5))  # which W&B does not show
    sink.close(OUTCOME)
    rows = [row for row in history(runs(tmp_path)[0]) if "loss" in row]
    ends = [min(end, 7) - 1 for end in range(every, 7 + every, every)]
    assert [row["step"] for row in rows] == ends
    assert [row["forwards"] for row in rows] == [2 * end for end in ends]
    assert len(rows) == told
    for row, end in zip(rows, ends, strict=True):
        mine = [loss for loss in losses[end - end % every : end + 1] if math.isfinite(loss)]
        assert row["loss"] == (sum(mine) / len(mine) if mine else "NaN")


def test_the_matrix_is_a_table_kept_with_the_results(tmp_path):
    trial(tmp_path)
    (table,) = tmp_path.glob("wandb/t1/wandb/offline-run-*/files/media/table/accuracy_matrix*.table.json")
    found = json.loads(table.read_text())
    assert found["columns"] == ["stage", "task", "accuracy"]
    assert found["data"] == [[1, 1, 0.1], [2, 1, 0.1], [2, 2, 0.2]]
    assert list((tmp_path / "wandb" / "artifacts" / "staging").iterdir())


def test_the_run_is_grouped_by_sweep(tmp_path):
    trial(tmp_path)
    header = next(line for line in inspect(runs(tmp_path)[0]).splitlines() if '"type":"run"' in line)
    assert {"run_group": "demo", "job_type": "trial"}.items() <= json.loads(header)["run"].items()


def test_the_run_is_found_by_its_parts(tmp_path):
    trial(tmp_path)
    header = next(line for line in inspect(runs(tmp_path)[0]).splitlines() if '"type":"run"' in line)
    assert json.loads(header)["run"]["tags"] == ["ease", "zo-sgd"]
    assert tags({"model": {"name": "m"}, "stream": {"dataset": {"path": "x"}}}) == ["m"]


def test_a_tag_is_no_longer_than_wandb_takes(tmp_path):
    about = About(tmp_path, "t1", json.dumps({"model": {"name": "m" * 300}}), sweep="demo")
    Chosen("wandb", SINKS["wandb"], WandbSpec()).make(about).close(OUTCOME)
    header = next(line for line in inspect(runs(tmp_path)[0]).splitlines() if '"type":"run"' in line)
    assert json.loads(header)["run"]["tags"] == ["m" * 64]


def test_an_online_run_says_where_it_is(tmp_path, monkeypatch):
    sink = Chosen("wandb", SINKS["wandb"], WandbSpec()).make(About(tmp_path, "t1"))
    assert sink.url is None
    sink._run.finish()
    sink._run = SimpleNamespace(offline=False, url="https://wandb.ai/me/proj/runs/t1")
    assert sink.url == "https://wandb.ai/me/proj/runs/t1"


def test_a_failed_trial_is_a_failed_run(tmp_path):
    trial(tmp_path, Outcome(Status.FAILED, error="boom"))
    found = json.loads(inspect(runs(tmp_path)[0], "--summary"))
    assert (found["state"], found["exit_code"], found["summary"]["status"]) == ("failed", 1, "failed")


def test_a_retried_trial_shows_once(tmp_path):
    opened(tmp_path, "t10").close(OUTCOME)
    for _ in range(3):
        trial(tmp_path)
    assert len(runs(tmp_path, "t1")) == 2  # t1 and the other trial, t10, in one folder
    assert len(runs(tmp_path, "t10")) == 1


def test_nothing_of_the_machine_or_its_secrets_is_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_API_KEY", SECRET)
    trial(tmp_path)
    (run,) = runs(tmp_path)
    assert {p.name for p in (run / "files").iterdir()} == {"media"}
    assert '"host"' not in inspect(run)
    assert not [p for p in tmp_path.rglob("*") if p.is_file() and SECRET.encode() in p.read_bytes()]


def test_online_without_a_connection_goes_offline(tmp_path, monkeypatch, caplog):
    tried = []

    def init(settings, **options):
        if settings["mode"] == "online":
            tried.append(settings["run_id"])
            raise wandb.errors.CommError("no route to host\nmore")
        return real(settings=settings, **options)

    real = wandb.init
    monkeypatch.setattr(wandb, "init", init)
    trial(tmp_path, mode="online")
    assert warnings(caplog) == ["W&B cannot connect, the run is kept offline instead: no route to host more"]
    assert len(history(runs(tmp_path)[0])) == 5  # two of steps, two of stages, and the table
    trial(tmp_path, trial_id="t2", mode="online")
    assert len(runs(tmp_path, "t2")) == 1
    assert tried == ["t1"], "the next trial does not wait for the server again"
    monkeypatch.setattr("zfscale.sinks.wandb_start.REST", 0.0)
    trial(tmp_path, trial_id="t3", mode="online")
    assert tried == ["t1", "t3"]


@pytest.mark.parametrize("broken", ["init", "log"])
def test_a_broken_wandb_warns_once_and_the_trial_goes_on(tmp_path, monkeypatch, caplog, broken):
    def refuse(*_, **__):
        raise RuntimeError("service died")

    monkeypatch.setattr(*((wandb, "init") if broken == "init" else (wandb.Run, "log")), refuse)
    trial(tmp_path)
    told = "W&B stopped for this trial, which goes on: service died"
    assert warnings(caplog) == [told]
    assert (tmp_path / NOTE).read_text() == told


def test_a_key_read_from_a_file_loses_the_end_of_its_line(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_API_KEY", SECRET + "\n")
    trial(tmp_path, trial_id="t3")
    assert os.environ["WANDB_API_KEY"] == SECRET
    assert not (tmp_path / NOTE).exists()


def test_the_driver_shows_once_what_is_wrong_with_wandb(tmp_path, tiny_vit, image_folder, capsys):
    wandb_on = {"dir": str(tmp_path), "wandb": {"mode": "online"}}
    sweep = spec.load(sweep_file(tmp_path / "s.yaml", tiny_vit, image_folder, output=wandb_on))
    results = storage(tmp_path, "small")
    results.write(NOTE, b"of an earlier run")
    progress = Progress(sweep, results, Plan())
    ended = SimpleNamespace(trial_id="a", config={"spec": sweep.trials[0].to_json()})
    progress.on_trial_result(0, [], ended, {"status": "finished"})
    results.write(NOTE, b"W&B stopped for this trial, which goes on: [key] refused")
    for _ in range(2):
        progress.on_trial_result(0, [], ended, {"status": "finished"})
    assert capsys.readouterr().err == "warning: W&B stopped for this trial, which goes on: [key] refused\n"


def test_importing_the_sinks_does_not_import_wandb():
    code = "import sys, zfscale.sinks.fanout; print('wandb' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == "False\n"


def test_run_name_says_what_it_can():
    assert run_name({"method": {"name": "ease"}}) == "ease"
    assert run_name({}) == ""
