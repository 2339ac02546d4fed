"""The Slurm scripts where there is no Slurm: ports, errors, and what the job does when it is told to stop.

In the job's script all commands are stand-ins that write down how they were called; tests/cluster/slurm/test_slurm.py
has the real ones.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
SCRIPTS = ROOT / "cluster" / "slurm"
PORT = re.compile(r"--([a-z-]*port)=(\d+)")


def ports(job: int, role: str) -> dict[str, int]:
    """Option of `ray start` -> port."""
    told = subprocess.run(["bash", SCRIPTS / "ports.sh", str(job), role], capture_output=True, text=True, check=True)
    return {name: int(port) for name, port in PORT.findall(told.stdout)}


def services(job: int, role: str) -> dict[str, int]:
    return {name: port for name, port in ports(job, role).items() if port}


def test_jobs_have_ports_of_their_own_below_those_the_kernel_gives_away():
    taken = [port for job in (1, 2, 1999, 2000, 67043328) for port in services(job, "head").values()]
    assert len(taken) == len(set(taken)) == 40
    assert min(taken) >= 10000
    assert max(taken) < 30000  # Linux gives away 32768 to 60999
    assert services(7, "head") == services(2007, "head")  # there are only so many ports


def test_the_workers_ports_are_the_heads():
    head, worker = ports(12, "head"), ports(12, "worker")
    assert head["port"] == 10120
    assert set(head) - set(worker) == {"port", "dashboard-port"}
    assert worker.items() <= head.items()
    assert worker["min-worker-port"] == worker["max-worker-port"] == 0


def test_a_client_server_that_cannot_be_turned_off_has_a_port_of_the_job_too(tmp_path, monkeypatch):
    (tmp_path / "grpc.py").touch()
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    head = services(12, "head")
    assert head["ray-client-server-port"] == 10128
    assert len(set(head.values())) == len(head)
    assert "ray-client-server-port" not in ports(12, "worker")


def test_no_port_that_ray_start_can_set_is_left_to_it():
    from ray.scripts.scripts import start

    known = {option.opts[0].removeprefix("--") for option in start.params}
    settable = {name for name in known if name.endswith("port")}
    assert settable == {*ports(1, "head"), "ray-client-server-port"}


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="shellcheck is not installed")
def test_shellcheck_finds_nothing():
    files = [*SCRIPTS.glob("*.sh"), SCRIPTS / "sweep.sbatch", *Path(__file__).parent.glob("*.sh")]
    done = subprocess.run(["shellcheck", "--external-sources", *files], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout == ""


SLEEPS = "exec sleep 60"  # until it is told to end
STAND_INS = {
    "scontrol": """case "$*" in
        "show hostnames "*) printf 'n1\\nn2\\n' ;;
        "--oneliner show node n1") echo 'NodeName=n1 Arch=x NodeAddr=10.0.0.1 Port=1' ;;
        "--oneliner show node n2") echo 'NodeName=n2 Arch=x NodeAddr=10.0.0.2 Port=1' ;;
        *) echo "scontrol $*" >>$LOG ;;
        esac""",
    "srun": f"""echo "srun $*" >>$LOG; echo "$RAY_AUTH_MODE $RAY_AUTH_TOKEN" >>$LOG.tokens
        echo $$ >$(grep -o 'head\\|worker' <<<"$*" | sed "s|^|$LOG.|")
        sed 's/.*--nodelist=\\([^ ]*\\).*/\\1/' <<<"$*"; {SLEEPS}""",
    "scancel": 'echo "scancel $*" >>$LOG; kill $(cat $LOG.head $LOG.worker)',
    "zfscale": 'echo "zfscale $*" >>$LOG; ' + SLEEPS,
}


CATCHES_TERM = """trap 'echo zfscale told >>$LOG; exit 130' TERM
    echo "zfscale $*" >>$LOG
    while :; do sleep 0.1; done"""


class Job:
    """The job's script among stand-ins."""

    script = SCRIPTS / "sweep.sbatch"

    def __init__(self, where: Path, **stand_ins: str) -> None:
        self.log, bin_ = where / "log", where / "bin"
        bin_.mkdir()
        for name, text in (STAND_INS | stand_ins).items():
            (bin_ / name).write_text(f"#!/usr/bin/env bash\n{text}\n")
            (bin_ / name).chmod(0o755)
        own = {"VENV": str(where), "LOG": str(self.log), "SLURM_JOB_ID": "12", "SLURM_JOB_NODELIST": "n[1-2]"}
        self.env = os.environ | own | {"SLURM_CPUS_PER_TASK": "3", "SLURM_GPUS_ON_NODE": "1"}
        self.env["PATH"] = f"{bin_}:{self.env['PATH']}"

    def start(self, **env: str) -> None:
        self.process = subprocess.Popen(
            ["bash", self.script, "FILE", "--set", "a=b c"],
            env=self.env | env,
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def calls(self, command: str) -> list[str]:
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return [line for line in lines if line.startswith(f"{command} ")]

    def pid(self, role: str) -> int:
        """Of the step that is the head or the worker."""
        return int((self.log.parent / f"log.{role}").read_text())

    def wait_for(self, command: str) -> None:
        deadline = time.monotonic() + 20
        while not self.calls(command):
            assert self.process.poll() is None, self.process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def end(self) -> tuple[int, str, str]:
        out, err = self.process.communicate(timeout=30)
        return self.process.returncode, out, err


def test_the_job_starts_a_step_a_node_and_ends_as_its_sweep_does(tmp_path):
    job = Job(tmp_path, zfscale='echo "zfscale $*" >>$LOG; exit 3')
    job.start()
    assert job.end()[0] == 3
    assert job.calls("zfscale") == ["zfscale run FILE --set a=b c --address 10.0.0.1:10120"]
    step = "srun --overlap --nodes=1 --ntasks=1 --nodelist={} --cpus-per-task=3 --gpus-per-node=1 bash {} {} 3 1"
    node = "cluster/slurm/node.sh"
    assert job.calls("srun") == [
        step.format("n1", node, "head 10.0.0.1 10.0.0.1"),
        step.format("n2", node, "worker 10.0.0.2 10.0.0.1"),
    ]
    assert job.calls("scancel") == ["scancel --signal=TERM 12"]
    assert job.calls("scontrol") == []


def test_every_start_has_a_token_of_its_own_that_no_command_line_and_no_log_shows(tmp_path):
    tokens = set()
    for start in ("a", "b"):
        (tmp_path / start).mkdir()
        job = Job(tmp_path / start, zfscale="exit 0")
        job.start(RAY_AUTH_TOKEN="the user's")
        _, out, err = job.end()
        told = (tmp_path / start / "log.tokens").read_text().splitlines()
        assert len(told) == 2
        assert told[0] == told[1]
        mode, token = told[0].split()
        assert mode == "token"
        assert re.fullmatch("[0-9a-f]{64}", token)
        assert token not in out + err + job.log.read_text()
        tokens.add(token)
    assert len(tokens) == 2


def test_usr1_ends_the_sweep_and_requeues(tmp_path):
    job = Job(tmp_path, zfscale=CATCHES_TERM)
    job.start()
    job.wait_for("zfscale")
    job.process.send_signal(signal.SIGUSR1)
    code, out, _ = job.end()
    assert code == 0
    assert job.calls("zfscale")[-1] == "zfscale told"
    assert job.log.read_text().splitlines()[-2:] == ["scancel --signal=TERM 12", "scontrol requeue 12"]
    assert "requeued" in out


def test_a_job_that_was_requeued_too_often_is_not_again(tmp_path):
    job = Job(tmp_path)
    job.start(SLURM_RESTART_COUNT="100")
    job.wait_for("zfscale")
    job.process.send_signal(signal.SIGUSR1)
    code, out, err = job.end()
    assert code == 1
    assert err == "sweep.sbatch: requeued 100 times: not again; `make slurm` goes on\n"
    assert "start 101" in out
    assert job.calls("scontrol") == []


def test_cancelled_it_ends_the_sweep_and_starts_nothing(tmp_path):
    job = Job(tmp_path)
    job.start()
    job.wait_for("zfscale")
    job.process.send_signal(signal.SIGTERM)
    for role in ("head", "worker"):  # Slurm tells the steps itself
        os.kill(job.pid(role), signal.SIGTERM)
    job.end()
    assert job.calls("scontrol") == job.calls("scancel") == []


def test_a_head_that_ends_is_an_error(tmp_path):
    job = Job(tmp_path)
    job.start()
    job.wait_for("zfscale")
    os.kill(job.pid("head"), signal.SIGKILL)
    code, _, err = job.end()
    assert code == 1
    assert "sweep.sbatch: the Ray head has ended (its last words are above)" in err


def test_a_node_on_which_ray_does_not_start_is_an_error(tmp_path):
    job = Job(tmp_path, srun="echo Ray says why >&2; exit 1", scancel="exit 1")
    job.start()
    code, _, err = job.end()
    assert code == 1
    assert err == "Ray says why\nsweep.sbatch: Ray has not started on all nodes (its last words are above)\n"
    assert job.calls("zfscale") == []


def test_a_node_on_which_ray_does_not_start_in_time_is_named(tmp_path):
    silent = 'case "$*" in *worker*) sleep 60 & echo $! >$LOG.worker; wait ;; *) '
    job = Job(tmp_path, srun=silent + STAND_INS["srun"] + " ;; esac")
    job.script = tmp_path / "impatient"
    job.script.write_text((SCRIPTS / "sweep.sbatch").read_text().replace("START_TIMEOUT=300", "START_TIMEOUT=2"))
    job.start()
    code, _, err = job.end()
    assert code == 1
    assert "sweep.sbatch: Ray has not started on n2 in 2 s\n" in err
    assert job.calls("zfscale") == []


def test_a_node_known_by_the_loopback_alone_is_an_error(tmp_path):
    job = Job(tmp_path, scontrol=STAND_INS["scontrol"].replace("10.0.0.2", "127.0.1.1"))
    job.start()
    code, _, err = job.end()
    assert code == 1
    assert err == "sweep.sbatch: node n2: no address but the loopback for 127.0.1.1\n"
    assert job.calls("srun") == []
