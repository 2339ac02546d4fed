"""The names inside a results directory. Nothing else in the package spells them.

trials/ evals/ steps/ ledger/    tables, a file a trial
decisions/                       what a scheduler decided on each report, one file
tuned.json                       which trials have values that a search has chosen, and what it spent
plan.json                        what the last run was to run: its trials, and what each was expected to take
report.md, *.png                 the report
wandb/, wandb.txt                W&B's runs, and what went wrong with them; likewise of other sinks
snapshots/ID/                    weights at the end of a hybrid's first-order phases; a checkpoint inside one
.ledgers/ID  .attempts/ID        trials that run: their steps so far, and how often they were started
.workers/NODE-PID                which trial a worker runs, and how far it has come; gone when the run ends
.decisions                       decisions that are not in their table yet
.lock  .stop  .tmp/              the run that writes here, a request that it ends, and files that are not whole yet
.sync/                           the upload of W&B's runs, while it lasts

Those that begin with a dot are not for readers.
"""

from __future__ import annotations

TRIALS, EVALS, STEPS, LEDGER = TABLES = ("trials", "evals", "steps", "ledger")
DECISIONS, DECISIONS_JOURNAL = "decisions", ".decisions"
REPORT = "report.md"
ACCURACY_PICTURE, GAIN_PICTURE, LOSS_PICTURE = "accuracy_per_stage.png", "gain.png", "loss_matrix.png"
TUNED = "tuned.json"
PLAN = "plan.json"
WANDB = "wandb"
SNAPSHOTS = "snapshots"
LEDGERS, ATTEMPTS, WORKERS = RUNNING = (".ledgers", ".attempts", ".workers")
LOCK = ".lock"
STOP = ".stop"
SCRATCH = ".tmp"
SYNC = ".sync"


def file_of(table: str, trial_id: str) -> str:
    """The name of a trial's file in a table, relative to the results.

    >>> file_of("evals", "0123456789ab")
    'evals/0123456789ab.parquet'
    """
    return f"{table}/{trial_id}.parquet"


def ledger_of(trial_id: str) -> str:
    """The ledger of a trial that runs."""
    return f"{LEDGERS}/{trial_id}"


def starts_of(trial_id: str) -> str:
    """The file that counts how often a trial was started."""
    return f"{ATTEMPTS}/{trial_id}"


def worker_file(node: str, pid: int) -> str:
    """The file of a worker that runs trials."""
    return f"{WORKERS}/{node.replace('/', '-')}-{pid}"


def snapshots_of(trial_id: str) -> str:
    """The folder of a trial's snapshots."""
    return f"{SNAPSHOTS}/{trial_id}"


def checkpoint_of(trial_id: str) -> str:
    """The checkpoint inside a first-order phase of a trial that runs."""
    return f"{snapshots_of(trial_id)}/checkpoint.safetensors"


def note_of(sink: str) -> str:
    """The file that says what went wrong with a sink.

    >>> note_of("wandb"), note_of("mypkg.sinks:Mine")
    ('wandb.txt', 'mypkg.sinks.Mine.txt')
    """
    return f"{sink.replace(':', '.')}.txt"
