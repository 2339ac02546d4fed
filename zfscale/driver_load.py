"""What `zfscale bench cluster` has a driver bear, and what is seen of it: all that two processes tell each other."""

from __future__ import annotations

from dataclasses import dataclass

LOOKS = "looks.json"  # the file of looks
SERVERS = ("gcs_server", "raylet")  # of Ray, on the driver's machine


@dataclass(frozen=True)
class Load:
    """What a driver has to bear.

    Args:
        workers: Trials at a time.
        trials: How many in all.
        reports: Of each trial, beside its end.
        seconds: That a trial sleeps.
        judged: Whether a scheduler decides on each report; without one, the driver only shows it.
        nodes: Of the cluster, all on this machine, which share the workers.
        hosts: Processes that have the workers; 0 where each worker is one.
    """

    workers: int
    trials: int
    reports: int
    seconds: float
    judged: bool = False
    nodes: int = 1
    hosts: int = 0


@dataclass(frozen=True)
class Look:
    """Seconds of processor time up to a moment, user and system, and how many trials had ended then.

    Args:
        done: Trials that have ended.
        when: Seconds of a clock that only goes on.
        driver: Of the driver's process.
        servers: Of Ray's on its machine, by their names.
        mib: What the driver holds of memory.
    """

    done: int
    when: float
    driver: float
    servers: dict[str, float]
    mib: float
