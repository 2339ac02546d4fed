"""cluster/kubernetes/run.sh: one error line for bad input, a job that ended makes room, one that runs is left alone."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from programs import PATH, REPOSITORY, run_sh, tool

SWEEP = "sweeps/vit_classil.yaml"
NOT_THERE = "not in the pods; give the absolute path of what is in the image or /results"


@pytest.mark.parametrize(
    ("content", "variables", "message"),
    [
        ("name: a\n", {"OVERLAY": "tpu"}, "OVERLAY=tpu: unknown; allowed: cpu gpu\n"),
        (None, {}, "SWEEP={path}: no such file\n"),
        ("model: {name: a}\n", {}, "{path}: name: missing; it names the job\n"),
        ("name: a\n", {"RESULTS": "/mnt"}, "RESULTS=/mnt: expected s3://BUCKET/DIRECTORY or gs://BUCKET/DIRECTORY\n"),
        (
            "name: a\n",
            {"RESULTS": "s3://b/$(id)"},
            "RESULTS=s3://b/$(id): expected s3://BUCKET/DIRECTORY or gs://BUCKET/DIRECTORY\n",
        ),
        ("name: a\n", {"SERVICE_ACCOUNT": "A b"}, "SERVICE_ACCOUNT=A b: no name of a service account\n"),
        ("name: a\nx: {path: ~/a, format: text}\n", {}, f"{{path}}: path: ~/a: {NOT_THERE}\n"),
        ("name: a\nx:\n  path: 'data/*.txt'\n", {}, f"{{path}}: path: data/*.txt: {NOT_THERE}\n"),
        (f"name: {'x' * 40}\n", {}, f"{{path}}: name: {'x' * 40}: 40 characters; allowed on Kubernetes: 39\n"),
    ],
)
def test_bad_input_is_one_line(tmp_path: Path, content: str | None, variables: dict[str, str], message: str) -> None:
    tool("kubectl")
    path = tmp_path / "sweep.yaml"
    if content is not None:
        path.write_text(content)
    ran = run_sh(path, DRY_RUN="1", **variables)
    assert (ran.returncode, ran.stdout, ran.stderr) == (2, "", message.format(path=path))


@pytest.mark.parametrize(
    ("line", "job"),
    [
        ("name: plain", "zfscale-plain"),
        ("name:   'Quoted.Name_'  # why", "zfscale-quoted-name"),
        ('name: "a"', "zfscale-a"),
        (f"name: {'x' * 39}", f"zfscale-{'x' * 39}"),
        ("name: a\nx: {path: /results/texts}  # no path: here", "zfscale-a"),
    ],
)
def test_the_job_is_named_by_the_sweep(tmp_path: Path, line: str, job: str) -> None:
    tool("kubectl")
    path = tmp_path / "sweep.yaml"
    path.write_text(f"# a sweep\n{line}\nspace: {{optimizer: {{grid: [{{name: zo-sgd}}]}}}}\n")
    ran = run_sh(path, DRY_RUN="1")
    assert ran.returncode == 0, ran.stderr
    assert f"kind: RayJob\nmetadata:\n  name: {job}\n" in ran.stdout


@pytest.fixture
def cluster(tmp_path: Path) -> Path:
    """A directory with a kubectl that notes what it is told and whose one job is in the state of the file `state`."""
    program = tmp_path / "kubectl"
    program.write_text('#!/bin/sh\necho "$@" >> "$0.calls"\n[ "$1" != get ] || cat "$(dirname "$0")/state"\n')
    program.chmod(0o755)
    return tmp_path


@pytest.mark.parametrize(
    ("state", "verbs"),
    [
        ("", ["get", "apply"]),
        ("Complete", ["get", "delete", "apply"]),
        ("Failed", ["get", "delete", "apply"]),
        ("Running", ["get"]),
        ("Retrying", ["get"]),
    ],
)
def test_a_job_that_runs_is_left_alone(cluster: Path, state: str, verbs: list[str]) -> None:
    (cluster / "state").write_text(state)
    ran = run_sh(SWEEP, PATH=f"{cluster}:{PATH}")
    assert ran.returncode == 0, ran.stderr
    calls = [line.split() for line in (cluster / "kubectl.calls").read_text().splitlines()]
    assert [call[0] for call in calls] == verbs
    assert all(call[1] == "rayjob/zfscale-vit-classil" for call in calls if call[0] != "apply")
    assert (f"rayjob/zfscale-vit-classil: {state}; " in ran.stdout) is (verbs == ["get"])


def test_a_cluster_out_of_reach_is_an_error_and_nothing_is_applied(cluster: Path) -> None:
    ran = run_sh(SWEEP, PATH=f"{cluster}:{PATH}")  # no file `state`: `get` fails
    assert ran.returncode != 0
    assert "apply" not in (cluster / "kubectl.calls").read_text()


QUOTED = """--set 'seed=1' --set "train.epochs=2\""""


def test_make_k8s_is_the_script(tmp_path: Path) -> None:
    tool("kubectl")
    command = ["make", "-s", "k8s", f"SWEEP={SWEEP}", "OVERLAY=gpu", "IMAGE=me/zf", f"ARGS={QUOTED}", "DRY_RUN=1"]
    command.append("RESULTS=s3://b/d")
    ran = subprocess.run(command, cwd=REPOSITORY, env={"PATH": PATH}, capture_output=True, text=True)
    direct = run_sh(SWEEP, OVERLAY="gpu", IMAGE="me/zf", ARGS=QUOTED, RESULTS="s3://b/d", DRY_RUN="1")
    assert QUOTED in ran.stdout
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout == direct.stdout
    assert "groupName: gpu" in ran.stdout
