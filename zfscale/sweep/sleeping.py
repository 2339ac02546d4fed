"""Trials that sleep, for `zfscale bench cluster`: what a driver takes for each trial and each report of one.

python -m zfscale.sweep.sleeping LOAD FOLDER

LOAD is a `Load` as JSON. All on the driver's side is that of `zfscale run`; a worker sleeps in place of training. It
imports no torch and writes no tables. FOLDER gets the looks that were taken of the processes, a JSON list.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zfscale.driver_load import LOOKS, SERVERS, Load, Look
from zfscale.errors import ZfscaleError
from zfscale.sweep.environment import LOCAL, environment
from zfscale.sweep.private import SESSIONS, private_directory

if TYPE_CHECKING:
    from zfscale.spec import Sweep
    from zfscale.sweep.progress import Progress

NAME, FILE = "sleeping", "sleeping.yaml"
WAIT = 600.0  # seconds for all nodes to be there
TICK = os.sysconf("SC_CLK_TCK")
SWEEP = """\
name: {name}
model: {{name: embedded/vit-nano}}
stream: {{dataset: digits, tasks: 5}}
method: {{name: finetune}}
optimizer: {{name: zo-sgd, lr: 1.0e-3}}
train: {{epochs: 1, batch_size: 32}}
space: {{seed: {{grid: {seeds}}}}}
search: {{metric: avg_accuracy, scheduler: {{name: {scheduler}}}}}
resources: {{max_concurrent: {workers}}}
output: {{dir: {folder}, wandb: {{mode: disabled}}}}
"""


class Meter:
    """Listens to how the sweep stands, and looks at the clock and the processes each time."""

    def __init__(self) -> None:
        self.looks: list[Look] = []

    def tell(self, shown: Progress) -> None:
        """One look."""
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        mib = pages * os.sysconf("SC_PAGE_SIZE") * 2**-20
        self.looks.append(Look(shown.done, time.monotonic(), time.process_time(), servers(), mib))


def servers() -> dict[str, float]:
    """Seconds of processor time of Ray's servers, which this process has started, by their names."""
    found = dict.fromkeys(SERVERS, 0.0)
    for place in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, _, rest = place.read_text().partition("(")[2].rpartition(")")
        except OSError:  # it has just ended
            continue
        fields = rest.split()  # from the state on: proc(5) counts it as the third
        if name in found and int(fields[1]) == os.getpid():
            found[name] += (int(fields[11]) + int(fields[12])) / TICK
    return found


def written(load: Load, folder: Path) -> Path:
    """The sweep file of a load."""
    file, scheduler = folder / FILE, "asha" if load.judged else "none"
    seeds, place = list(range(load.trials)), json.dumps(str(folder))
    file.write_text(SWEEP.format(name=NAME, seeds=seeds, scheduler=scheduler, folder=place, workers=load.workers))
    return file


def run(load: Load, folder: Path) -> list[Look]:
    """Run the load on a cluster of so many logical CPUs, and look at it now and then. Errors: ZfscaleError."""
    from zfscale import spec

    sweep = spec.load(written(load, folder))
    with environment(LOCAL), private_directory() as place:
        import ray

        quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
        with _cluster(load, str(place / SESSIONS)) as where:
            ray.init(**where, **quiet)
            try:
                return _driven(sweep, load, place)
            finally:
                ray.shutdown()


@contextmanager
def _cluster(load: Load, folder: str) -> Iterator[dict[str, Any]]:
    """What Ray is to be given for the load's nodes, each with a server of its own; logs lie in the folder.

    NOTE: of several nodes, Ray writes the address down where `address: auto` finds it, as of a cluster of this user's.
    """
    workers = 1 if load.hosts else load.workers  # hosts ask for none
    size: dict[str, Any] = {"num_cpus": -(-workers // load.nodes), "object_store_memory": 2**27}
    if load.nodes == 1:
        yield {**size, "address": LOCAL, "include_dashboard": False, "_temp_dir": folder}
        return
    from ray.cluster_utils import Cluster

    head = {**size, "include_dashboard": False, "temp_dir": folder}
    cluster = Cluster(initialize_head=True, connect=False, head_node_args=head)
    try:
        for _ in range(load.nodes - 1):
            cluster.add_node(wait=False, **size)
        cluster.wait_for_nodes(timeout=WAIT)
        yield {"address": cluster.address}
    finally:
        cluster.shutdown()


def _driven(sweep: Sweep, load: Load, place: Path) -> list[Look]:
    from zfscale.patching import replaced
    from zfscale.results.lock import held
    from zfscale.results.missing import root
    from zfscale.sweep import driver
    from zfscale.sweep.hosted import hosted
    from zfscale.sweep.sleeper import asleep

    meter, nothing = Meter(), dict[str, Any]()
    forwards: Mapping[str, float] = {trial.trial_id: 1.0 for trial in sweep.trials}
    pause = load.seconds / (load.reports + 1)
    kind = asleep(load.reports, 0, speaks=False) if load.hosts else asleep(load.reports, pause)
    with ExitStack() as stack:
        me = stack.enter_context(held(root(sweep)))
        stack.enter_context(replaced(driver, "Worker", kind))
        if load.hosts:
            stack.enter_context(hosted(load.workers, load.hosts, pause))
        driver.drive(sweep, list(sweep.trials), nothing, nothing, me, place, forwards, [meter], own=True)
    if not meter.looks or meter.looks[-1].done < len(sweep.trials):
        raise ZfscaleError("the sleeping trials did not all end")
    return meter.looks


if __name__ == "__main__":
    there = Path(sys.argv[2])
    looks = run(Load(**json.loads(sys.argv[1])), there)
    (there / LOOKS).write_text(json.dumps([asdict(look) for look in looks]))
