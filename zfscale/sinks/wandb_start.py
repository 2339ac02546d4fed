"""How a run of W&B begins: what it is asked for, and what becomes of it where W&B cannot be reached.

Online mode that cannot connect falls back to an offline run that `zfscale sync` uploads later, and so do the runs of
the next minutes, without a try, as they do after one that was not uploaded at its end. W&B is asked for nothing but
what is logged here: no console, code, git, packages, host or system statistics, which also takes a run's cost from
0.2 s to about 0.02 s.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zfscale.errors import ZfscaleError, one_line
from zfscale.results.layout import WANDB, note_of
from zfscale.results.storage import Storage
from zfscale.sinks.guard import warn
from zfscale.sinks.wandb_finish import LEFT
from zfscale.sinks.wandb_runs import remove_runs, root_of
from zfscale.spec import WandbSpec

KEY = "WANDB_API_KEY"
QUIET: dict[str, Any] = {
    "silent": True,
    "console": "off",
    "host": "",
    "init_timeout": 30.0,
    "finish_timeout": 120.0,
    "finish_timeout_raises": True,
    "login_timeout": 1.0,
    "use_dot_wandb": False,
    "symlink": False,
    "save_code": False,
    "disable_code": True,
    "disable_git": True,
    "disable_job_creation": True,
    "x_save_requirements": False,
    "x_disable_meta": True,
    "x_disable_machine_info": True,
    "x_disable_stats": True,
}


AWAY = "W&B cannot connect, the run is kept offline instead"
REST = 600.0  # seconds for which runs of a sweep do not try again, after one that could not connect or upload
LONGEST_TAG = 64  # characters that W&B takes


@dataclass(frozen=True)
class Named:
    """What a run is called.

    Args:
        run_id: On the server, and of its files. Local runs of the same id are removed: they are of an earlier attempt.
        name: What a person calls it.
        sweep: The sweep, which groups its runs.
        job: What it is a run of: "trial" or "sweep".
        tags: What it is found by.
    """

    run_id: str
    name: str
    sweep: str
    job: str = "trial"
    tags: Sequence[str] = ()


def start(there: Storage, named: Named, config: Mapping[str, Any], options: WandbSpec) -> Any:
    """Begin a run whose files lie in `<results>/wandb/`, in a bucket in a local folder that is sent there later."""
    import wandb

    if key := os.environ.get(KEY):  # of a file, with the end of its line: W&B would refuse it
        os.environ[KEY] = key.strip()
    wandb.setup(wandb.Settings(silent=True))
    local = there.local(WANDB).parent
    remove_runs(local, named.run_id)
    root = root_of(local, named.run_id)
    root.mkdir(parents=True, exist_ok=True)
    about: dict[str, Any] = {
        "root_dir": str(root),
        "project": options.project,
        "run_group": named.sweep,
        "run_job_type": named.job,
    }
    about |= {"run_id": named.run_id, "run_name": named.name, "reinit": "create_new"}
    about |= {"run_tags": tuple(dict.fromkeys(tag[:LONGEST_TAG] for tag in named.tags if tag))}
    known = wandb.Settings.model_fields  # an older W&B has fewer, and refuses the others
    settings: dict[str, Any] = {name: value for name, value in QUIET.items() if name in known} | about
    mode = "offline" if options.mode == "online" and _rests(there) else options.mode
    try:
        return wandb.init(config=dict(config), settings={**settings, "mode": mode})
    except Exception as error:
        if mode != "online":
            raise
        warn(there, WANDB, AWAY, error)
        wandb.teardown()  # else the service holds the id of the failed run
        wandb.setup(wandb.Settings(silent=True))
        remove_runs(local, named.run_id)
        return wandb.init(config=dict(config), settings={**settings, "mode": "offline"})


def _rests(there: Storage) -> bool:
    """Whether another run of the sweep could not connect or upload just now: a try takes half a minute and more."""
    note = note_of(WANDB)
    with suppress(OSError):  # a bucket that does not answer now
        told = (there.read(note) or b"").startswith((AWAY.encode(), LEFT.encode()))
        return told and time.time() - there.times("").get(note, 0.0) < REST
    return False


def sign_in() -> None:
    """Find the user's API key and ask the server whether it is one.

    Raises:
        ZfscaleError: There is none, or the server does not answer or does not take it.
    """
    import wandb

    try:
        wandb.setup(wandb.Settings(silent=True))
        wandb.login(timeout=0)
    except wandb.errors.Error as error:
        raise ZfscaleError(f"W&B: {one_line(error)}") from error
    finally:
        wandb.teardown()


@contextmanager
def data_beside(root: Path) -> Iterator[None]:
    """Stages artifacts under `<root>/wandb`, not in the user's home, unless the user chose a place."""
    name = "WANDB_DATA_DIR"
    if os.environ.get(name):
        yield
        return
    os.environ[name] = str(root.absolute() / WANDB)
    try:
        yield
    finally:
        del os.environ[name]
