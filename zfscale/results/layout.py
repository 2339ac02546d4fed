"""The names inside a results directory. Nothing else in the package spells them.

trials/ evals/ steps/ ledger/    tables: a trial's file in each is ID.parquet; of one with very many rows, the first,
                                 and ID.0001.parquet, ID.0002.parquet, ... are the others;
                                 pack-KEY.parquet has the rows of many trials that ended
decisions/                       what a scheduler decided on each report, one file
tuned.json                       which trials have values that a search has chosen, and what it spent
plan.json                        what the last run was to run: its trials, and what each was expected to take
report.md, report.html, *.png    the report
tables/                          the tables of the report as CSV and LaTeX
measures/                        what `zfscale measure` has found of a trial's past: a table and a picture a trial
wandb/, wandb.txt                W&B's runs, and what went wrong with them; likewise of other sinks
certificates/ID.json             what `zfscale verify` found of a trial
snapshots/ID/                    weights at the end of a hybrid's first-order phases; a checkpoint inside one
.ledgers/ID  .attempts/ID        trials that run: their steps so far, and how often they were started
.workers/NODE-PID                which trial a worker runs, and how far it has come; gone when the run ends
.stops/ID                        a request that a trial ends after its stage
.decisions                       decisions that are not in their table yet
.lock  .stop  .tmp/              the run that writes here, a request that it ends, and files that are not whole yet
.switch/                         files that are about to replace others in the tables
.damaged/                        files of many trials that were damaged, and have been taken out of the tables
.sync/                           the upload of W&B's runs, while it lasts

Those that begin with a dot are not for readers.
"""

from __future__ import annotations

import re

TRIALS, EVALS, STEPS, LEDGER = TABLES = ("trials", "evals", "steps", "ledger")
DECISIONS, DECISIONS_JOURNAL = "decisions", ".decisions"
REPORT, PAGE, SHEETS = "report.md", "report.html", "tables"
ACCURACY_PICTURE, GAIN_PICTURE, LOSS_PICTURE = PICTURES = ("accuracy_per_stage.png", "gain.png", "loss_matrix.png")
MEASURES = "measures"
TUNED = "tuned.json"
PLAN = "plan.json"
WANDB = "wandb"
WORKSPACE = f"{WANDB}/workspace.txt"  # the URL of the view that `zfscale workspace` saved
SNAPSHOTS = "snapshots"
CERTIFICATES = "certificates"
LEDGERS, ATTEMPTS, WORKERS, STOPS = RUNNING = (".ledgers", ".attempts", ".workers", ".stops")
LOCK = ".lock"
STOP = ".stop"
SCRATCH = ".tmp"
SYNC = ".sync"
SWITCH = ".switch"
DAMAGED = ".damaged"
PACK = re.compile(r"pack-[0-9a-f]{12}\.parquet")
OWN = re.compile(r"([0-9a-f]{12})(?:\.(\d{4,}))?\.parquet")


def file_of(table: str, trial_id: str, number: int = 0) -> str:
    """The name of a trial's file in a table, or of a later one, relative to the results.

    >>> file_of("evals", "0123456789ab"), file_of("steps", "0123456789ab", 12)
    ('evals/0123456789ab.parquet', 'steps/0123456789ab.0012.parquet')
    """
    return f"{table}/{trial_id}{f'.{number:04}' if number else ''}.parquet"


def trial_of(name: str) -> tuple[str, int] | None:
    """Whose file in a table it is, and which of that trial's; None if its name is no trial's.

    >>> trial_of("steps/0123456789ab.parquet"), trial_of("steps/0123456789ab.0012.parquet")
    (('0123456789ab', 0), ('0123456789ab', 12))
    """
    found = OWN.fullmatch(name.rpartition("/")[2])
    return found and (found[1], int(found[2] or 0))


def pack_of(table: str, key: str) -> str:
    """The name of a file of many trials in a table.

    >>> pack_of("evals", "0123456789ab")
    'evals/pack-0123456789ab.parquet'
    """
    return f"{table}/pack-{key}.parquet"


def is_pack(name: str) -> bool:
    """Whether a file in a table is one of many trials.

    >>> is_pack("evals/pack-0123456789ab.parquet"), is_pack("evals/0123456789ab.parquet")
    (True, False)
    """
    return PACK.fullmatch(name.rpartition("/")[2]) is not None


def ledger_of(trial_id: str) -> str:
    """The ledger of a trial that runs."""
    return f"{LEDGERS}/{trial_id}"


def starts_of(trial_id: str) -> str:
    """The file that counts how often a trial was started."""
    return f"{ATTEMPTS}/{trial_id}"


def stop_of(trial_id: str) -> str:
    """The request that a trial ends after its stage."""
    return f"{STOPS}/{trial_id}"


def worker_file(node: str, pid: int) -> str:
    """The file of a worker that runs trials."""
    return f"{WORKERS}/{node.replace('/', '-')}-{pid}"


def snapshots_of(trial_id: str) -> str:
    """The folder of a trial's snapshots."""
    return f"{SNAPSHOTS}/{trial_id}"


def snapshot_of(trial_id: str, task: int) -> str:
    """The weights at the end of a first-order phase.

    >>> snapshot_of("0123456789ab", 2)
    'snapshots/0123456789ab/task-2.safetensors'
    """
    return f"{snapshots_of(trial_id)}/task-{task}.safetensors"


def certificate_of(trial_id: str) -> str:
    """What `zfscale verify` found of a trial."""
    return f"{CERTIFICATES}/{trial_id}.json"


def checkpoint_of(trial_id: str) -> str:
    """The checkpoint inside a first-order phase of a trial that runs."""
    return f"{snapshots_of(trial_id)}/checkpoint.safetensors"


def note_of(sink: str) -> str:
    """The file that says what went wrong with a sink.

    >>> note_of("wandb"), note_of("mypkg.sinks:Mine")
    ('wandb.txt', 'mypkg.sinks.Mine.txt')
    """
    return f"{sink.replace(':', '.')}.txt"
