"""`make slurm` on a real Slurm of two nodes, which two_nodes.sh sets up on this machine.

The main sweep, reduced by --set to four trials: undisturbed; told USR1; one of its nodes lost; cancelled.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pyarrow.dataset as ds
import pytest

ROOT = Path(__file__).parents[3]
NODES = {"znode1", "znode2"}
DIFFERS = {"seconds", "peak_memory_bytes", "attempts", "node", "files"}  # between two runs of the same trial


def unavailable() -> str | None:
    """Why there can be no Slurm here."""
    if os.geteuid() != 0:
        return "needs root"
    if not (shutil.which("slurmctld") or shutil.which("apt-get")):
        return "needs Slurm, or apt to install it"
    if subprocess.run(["unshare", "--net", "--uts", "true"], capture_output=True).returncode:
        return "needs network namespaces"
    return None


WHY_NOT = unavailable()
pytestmark = [pytest.mark.slurm, pytest.mark.timeout(900), pytest.mark.skipif(WHY_NOT is not None, reason=str(WHY_NOT))]


class Cluster:
    """Slurm's commands."""

    def __init__(self, where: Path) -> None:
        self.where = where
        self.env = os.environ | {"SLURM_CONF": str(where / "slurm.conf")}

    def __call__(self, *command: str) -> str:
        done = subprocess.run(command, env=self.env, cwd=ROOT, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def submit(self, name: str, epochs: int = 5, **variables: object) -> Job:
        """`make slurm` with the reduced sweep, one CPU a node; its results are in the directory `name`.

        A trial takes several seconds at that many `epochs`, time enough to disturb it once another has finished.
        """
        results = self.where / name
        reduced = [
            "space.method.name.grid=[finetune,ease]",
            "space.seed.grid=[0,1]",
            "optimizer.name=zo-sgd",
            "optimizer.lr=1e-3",
            f"train.epochs={epochs}",
            "output.wandb.mode=disabled",
            f"output.dir={results}",
        ]
        told = {"VENV": sys.prefix, "CPUS": 1, "ARGS": " ".join(f"--set '{one}'" for one in reduced), **variables}
        # The environment that runs the tests is not to be installed again.
        made = self(
            "make", f"--assume-old={sys.prefix}/.run", "slurm", *(f"{key}={value}" for key, value in told.items())
        )
        return Job(self, found(r"job (\d+) is queued", made), results / "vit_classil")


def found(pattern: str, text: str) -> str:
    """The first group of the pattern, which is in the text."""
    match = re.search(pattern, text)
    assert match is not None, f"{pattern!r} is not in: {text}"
    return match[1]


class Job:
    """A job and its results."""

    def __init__(self, cluster: Cluster, id_: str, results: Path) -> None:
        self.cluster, self.id, self.results = cluster, id_, results
        self.log = ROOT / "results" / f"slurm-{id_}.log"

    def told(self) -> str:
        return self.log.read_text() if self.log.exists() else ""

    def field(self, name: str) -> str:
        return found(rf"\b{name}=(\S+)", self.cluster("scontrol", "show", "job", self.id))

    def wait(self, condition: Callable[[], object], seconds: float = 400) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert self.field("JobState") not in {"FAILED", "TIMEOUT", "NODE_FAIL"}, self.told()
            assert time.monotonic() < deadline, self.told()
            time.sleep(0.5)

    def wait_for_end(self, state: str = "COMPLETED") -> None:
        self.wait(lambda: self.field("JobState") == state)

    def finished(self) -> list[Path]:
        return list((self.results / "trials").glob("*.parquet"))

    def table(self, name: str) -> list[dict]:
        return ds.dataset(self.results / name, format="parquet").to_table().to_pylist()

    def comparable(self) -> dict[str, list[dict]]:
        """The tables, in a stable order, without what differs between two runs."""

        def same(row: dict) -> dict:
            spec = json.loads(row["spec"]) if "spec" in row else None
            return {key: value for key, value in row.items() if key not in DIFFERS} | {"spec": spec}

        names = ("trials", "evals", "ledger")
        return {
            name: sorted(map(same, self.table(name)), key=lambda row: json.dumps(row, sort_keys=True)) for name in names
        }

    def nodes(self) -> set[str]:
        return {row["node"] for row in self.table("trials")}

    def processes(self) -> list[psutil.Process]:
        """All that belong to the job, wherever they run."""
        mine = []
        for process in psutil.process_iter():
            try:
                if process.environ().get("SLURM_JOB_ID") == self.id:
                    mine.append(process)
            except psutil.Error:
                continue
        return mine

    def left_behind(self) -> list[object]:
        return [*self.processes(), *Path("/tmp").glob(f"zfscale-{self.id}[.-]*")]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory) -> Iterator[Cluster]:
    where = tmp_path_factory.mktemp("slurm")
    script = str(Path(__file__).with_name("two_nodes.sh"))
    logs = set((ROOT / "results").glob("slurm-*.log"))
    with open("/tmp/zfscale-test-slurm.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the nodes' names and addresses are the machine's
        try:
            subprocess.run([script, "up", str(where)], check=True, timeout=280)
            yield Cluster(where)
        finally:
            subprocess.run([script, "down"], check=True, timeout=60)
            for log in set((ROOT / "results").glob("slurm-*.log")) - logs:
                log.unlink()


@pytest.fixture(scope="module")
def undisturbed(cluster) -> Job:
    """It has just been submitted."""
    return cluster.submit("undisturbed", GPUS=1)


def test_whoever_lacks_the_jobs_token_is_refused(cluster):
    job = cluster.submit("token", epochs=1000, GPUS=1)  # which outlives those who ask
    job.wait(lambda: "2 Ray nodes" in job.told())
    running = job.processes()
    (token,) = {process.environ()["RAY_AUTH_TOKEN"] for process in running if process.name() == "raylet"}
    assert len(token) == 64
    assert not any(token in argument for process in running for argument in process.cmdline())
    assert token not in job.told()

    address = found(r"head (\S+)", job.told())
    assert "2 nodes, 2 CPUs, 2 GPUs" in joins(address, {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": token})
    for wrong in ({"RAY_AUTH_MODE": "disabled"}, {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0" * 64}):
        assert "AuthenticationError" in joins(address, wrong)
    cluster("scancel", job.id)
    job.wait_for_end("CANCELLED")


def joins(address: str, own: dict[str, str]) -> str:
    """What a client on the first node comes to see."""
    look = f"""import ray; ray.init({address!r}); have = ray.cluster_resources()
print(f"{{len(ray.nodes())}} nodes, {{have['CPU']:g}} CPUs, {{have['GPU']:g}} GPUs")"""
    command = ["ip", "netns", "exec", "znode1", sys.executable, "-c", look]
    done = subprocess.run(command, env=os.environ | own, capture_output=True, text=True, timeout=100)
    return done.stdout + done.stderr


def test_a_sweep_runs_on_both_nodes(undisturbed):
    undisturbed.wait_for_end()
    assert "4 trials finished, 0 failed" in undisturbed.told()
    rows = undisturbed.table("trials")
    assert {row["status"] for row in rows} == {"finished"}
    assert len(rows) == 4
    assert undisturbed.nodes() == NODES
    assert not undisturbed.left_behind()


def test_cancelled_it_leaves_nothing_behind(cluster):
    job = cluster.submit("cancelled")
    job.wait(lambda: "2 Ray nodes" in job.told())
    assert len(list(Path("/tmp").glob(f"zfscale-{job.id}.*"))) == 2
    assert {process.name() for process in job.processes()} >= {"raylet", "gcs_server"}
    cluster("scancel", job.id)
    job.wait_for_end("CANCELLED")
    assert not job.left_behind()


def test_two_jobs_at_once_one_requeued_and_one_that_loses_a_node(cluster, undisturbed):
    undisturbed.wait_for_end()
    requeued, maimed = cluster.submit("requeued"), cluster.submit("maimed")
    kept: dict[Path, int] = {}  # file of a trial that had finished -> when

    def lose_a_node() -> None:
        steps = cluster("squeue", "--steps", "--noheader", "--format=%i %N")
        kept.update({file: file.stat().st_mtime_ns for file in maimed.finished()})
        cluster("scancel", "--signal=KILL", found(rf"({maimed.id}\.\d+) +znode2\b", steps))

    def requeue() -> None:
        assert maimed.field("JobState") == "RUNNING"  # at once
        cluster("scancel", "--signal=USR1", requeued.id)

    plan = {requeue: requeued.finished, lose_a_node: lambda: maimed.finished() and maimed.nodes() >= NODES}
    while plan:
        due = [action for action, condition in plan.items() if condition()]
        for action in due:
            action()
            del plan[action]
        requeued.wait(lambda: True)
        time.sleep(0.2)

    maimed.wait_for_end()
    assert 1 < len(kept) < 4  # one on each node had finished, and not all
    assert kept == {file: file.stat().st_mtime_ns for file in kept}
    rows = {maimed.results / "trials" / f"{row['trial_id']}.parquet": row for row in maimed.table("trials")}
    assert {rows[file]["attempts"] for file in kept} == {1}
    assert {rows[file]["node"] for file in rows.keys() - kept.keys()} == {"znode1"}

    requeued.wait_for_end()
    assert requeued.field("Restarts") == "1"
    assert re.search(
        r"unfinished: [1-3] of 4 trials left.*start 2:.*4 trials finished, 0 failed", requeued.told(), re.S
    )
    for job in (requeued, maimed):
        assert job.comparable() == undisturbed.comparable()
        assert not job.processes()
    assert not requeued.left_behind()
    for directory in Path("/tmp").glob(f"zfscale-{maimed.id}.*"):
        shutil.rmtree(directory)  # of the step that was killed
