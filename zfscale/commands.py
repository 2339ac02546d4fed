"""The commands: each is one small function that imports what it needs when it runs, and gives the exit status."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zfscale.errors import StorageError, ZfscaleError, nearest
from zfscale.results.redact import redact

if TYPE_CHECKING:
    from zfscale.spec import Sweep
    from zfscale.spec.fork import Lookup
    from zfscale.sweep.ending import Ended


def _load(args: argparse.Namespace) -> Sweep:
    """The sweep file of a command, with what its forks have from their parents."""
    from zfscale import spec

    def parents(directory: str, name: str) -> Lookup:
        from zfscale.results.parents import lookup

        return lookup(directory, name)

    return spec.load(args.file, args.overrides, parents)


def validate(args: argparse.Namespace) -> int:
    """Check a sweep file and count its trials; nothing is started. --data reads its models and datasets as well."""
    sweep = _load(args)
    if args.data:
        from zfscale.trial.inputs import read

        read(sweep, sweep.outline)
    count, most = sweep.size, "at most " * bool(sweep.unknown)
    print(f"{args.file}: ok, {most}{count} trial{'' if count == 1 else 's'}{', models and data read' * args.data}")
    return 0


def schema(args: argparse.Namespace) -> int:
    """Print the JSON Schema of a sweep file, or with --markdown the tables of its options."""
    import json

    from zfscale import spec

    if args.markdown:
        from zfscale.spec.tables import markdown

        print(markdown())
        return 0
    print(json.dumps(spec.json_schema(), indent=2))
    return 0


def run(args: argparse.Namespace) -> int:
    """Finish every trial of the file that is not finished, then print and write the report.

    Exit status: 0 if every trial finished, 1 if all ended and some failed, 2 if the input was wrong, 130 if trials are
    left, after an interrupt or where results could not be written: the same command goes on.
    """
    sweep = _load(args)
    if args.shard:
        from zfscale.spec.sharding import shard_of

        sweep = shard_of(sweep, args.shard)
    if args.dry_run:
        from zfscale.sweep.dry_run import describe

        print(describe(sweep, args.retry_failed, args.continue_stopped))
        return 0
    from zfscale.sweep.launch import run as run_sweep

    ended = run_sweep(sweep, continue_stopped=args.continue_stopped, **_running(args))
    if _unfinished(ended, sweep.size):
        return 130
    print(ended.report)
    return 1 if _failed(ended, sweep.size) and not args.exit_zero else 0


def _running(args: argparse.Namespace) -> dict[str, Any]:
    """What `run` and `tune` have in common."""
    return {"retry_failed": args.retry_failed, "address": args.address, "max_hours": args.max_hours}


def _unfinished(ended: Ended, trials: int) -> bool:
    """Whether trials are left, which is told."""
    if ended.left:
        print(f"unfinished: {ended.left} of {trials} trials left; run the same command to go on", file=sys.stderr)
    return bool(ended.left)


def _failed(ended: Ended, trials: int) -> bool:
    """Whether trials failed, which is told."""
    if ended.failed:
        print(f"failed: {ended.failed} of {trials} trials; --retry-failed runs them again", file=sys.stderr)
    return bool(ended.failed)


def tune(args: argparse.Namespace) -> int:
    """Search for the values that `search.space` names, on held-out training images, at one budget for every optimizer.

    Writes the file with the chosen values. The search is a sweep of its own, results/NAME-tune, which the same command
    resumes. Exit status as of `run`; a candidate with a trial that failed is not chosen.
    """
    from zfscale import tuning

    sweep = _load(args)
    out, plan = tuning.target(sweep, args.out), tuning.plan(sweep)
    if args.dry_run:
        print(plan)
        return 0
    print(plan, file=sys.stderr)
    from zfscale.sweep.launch import run as run_sweep

    ended = run_sweep(plan.sweep, **_running(args))
    if _unfinished(ended, len(plan.sweep.trials)):
        return 130
    print(ended.report)
    chosen = tuning.chosen(plan)
    for warning in filter(None, (each.warning for each in chosen)):
        print(f"warning: {warning}", file=sys.stderr)
    tuning.write(sweep, chosen, out)
    print(f"tuned: {out}")
    return int(_failed(ended, len(plan.sweep.trials)))


def status(args: argparse.Namespace) -> int:
    """Say how a sweep stands, while it runs or after: what ended, runs and failed, how fast, and until when."""
    from zfscale.watch.standing import standing
    from zfscale.watch.status import shown

    now = standing(args.directory)
    print(now.as_json() if args.json else shown(now))
    return 0


def logs(args: argparse.Namespace) -> int:
    """Say what is known of one trial: how it stands, where it ran, its last steps, measures, spec and error."""
    from zfscale.watch.logs import logs as known

    print(known(args.directory, args.trial))
    return 0


def stop(args: argparse.Namespace) -> int:
    """Ask the run that writes to a results directory to end in good order, or one of its trials; and wait for it."""
    from zfscale.watch.stop import stop as ask
    from zfscale.watch.stop import stop_trial

    print(stop_trial(args.directory, args.trial) if args.trial else ask(args.directory))
    return 0


def report(args: argparse.Namespace) -> int:
    """Make the report again, from Parquet files: report.md, report.html, plots, and each table as CSV and LaTeX.

    That of one sweep is written beside its results; several together, or one elsewhere, need --out.
    """
    from zfscale.report import combine, make
    from zfscale.report.text import printable

    if len(args.directories) > 1 and args.out is None:
        raise ZfscaleError("the report of several sweeps is no one's own: say with --out DIR where to write it")
    text, file = combine(args.directories, args.out) if args.out else make(args.directories[0])
    print(printable(f"{text}\nreport: {file}", sys.stdout.encoding))
    return 0


def leaderboard(args: argparse.Namespace) -> int:
    """Rank optimizers within each method at equal forwards and at equal seconds, with paired differences.

    Whatever is compared took the same cost within a tenth. A row is verified where `zfscale verify` has left a
    certificate that holds for each of its trials.
    """
    from zfscale.report import leaders
    from zfscale.report.text import printable

    print(printable(leaders(args.directories, args.baseline, args.markdown), sys.stdout.encoding))
    return 0


def compact(args: argparse.Namespace) -> int:
    """Merge the files of the trials that have ended into files of many trials, about 64 MB each.

    A run of many trials does so at its end. Whatever is read, run again or replayed is as before.
    """
    from zfscale.results.compact import compact as merge
    from zfscale.results.lock import held
    from zfscale.watch.standing import results_of

    there = results_of(args.directory)
    with held(there):
        print(f"{there}: {merge(there)}")
    return 0


def sync(args: argparse.Namespace) -> int:
    """Upload the offline W&B runs of a sweep; the same command goes on where it was stopped, and sends no run twice.

    Exit status: 0 if every run of a trial that has ended is uploaded, 1 if some failed, 2 if there are no runs, or no
    API key that W&B takes.
    """
    from zfscale.sinks.wandb_sync import sync as upload

    told = upload(args.directory, args.processes)
    print(redact(str(told)))
    return int(bool(told.failed))


def replay(args: argparse.Namespace) -> int:
    """Write the model of a finished forward-only trial, at any step, as a from_pretrained directory."""
    from zfscale.trial.replay import replay as rebuild

    steps = rebuild(args.directory, args.trial, Path(args.out), args.step)
    print(f"{args.out}: trial {args.trial} after {steps} steps")
    return 0


def measure(args: argparse.Namespace) -> int:
    """Measure a finished forward-only trial at every so many steps of its past, from its ledger; no weights were kept.

    Writes the table measures/TRIAL_ID.parquet of the results, and a picture beside it.
    """
    from zfscale.measure.measure import measure as look_back

    for trial in args.trials:
        print(look_back(args.directory, trial, args.every, args.what, args.data))
    return 0


def verify(args: argparse.Namespace) -> int:
    """Replay trials from their ledgers, compare weights and evaluations with their results, and write certificates.

    Exit status: 0 if all that can be verified holds, 1 if something does not, 2 if there is nothing to verify, or if a
    trial that was named cannot be.
    """
    from zfscale.report import make
    from zfscale.results.layout import CERTIFICATES
    from zfscale.verify.results import verify as look
    from zfscale.watch.standing import one, results_of

    there = results_of(args.directory)
    verified = look(there, [one(there, trial) for trial in args.trials], args.losses)
    print(f"{verified}; certificates: {there}/{CERTIFICATES}")
    try:
        print(f"report: {make(there)[1]}")
    except StorageError as error:  # results that cannot be written to are verified all the same
        print(f"report: not written: {error}", file=sys.stderr)
    return verified.status


def base(args: argparse.Namespace) -> int:
    """Pretrain an embedded base model and write it into the package (or --out), or show what is known of one."""
    from zfscale import registry
    from zfscale.pretraining import catalogue

    if args.action == "show":
        print(catalogue.shown(args.name, Path(args.out) if args.out else None))
        return 0
    if args.name not in catalogue.BUILDERS:
        raise ZfscaleError(f"base model {args.name!r}: unknown; {nearest(args.name, catalogue.BUILDERS)}")
    build = registry.load(catalogue.BUILDERS[args.name])
    print(catalogue.table(build(**({"out": Path(args.out)} if args.out else {}))))
    return 0


def toy(args: argparse.Namespace) -> int:
    """Draw the trajectories of optimizers on ZeroFlow's two-task toy (its Figures 3, 4, 10); takes two minutes."""
    from zfscale.toy import make

    print(make(args.out, args.optimizers, args.starts, args.steps, args.seed))
    print(f"figures and trajectories.parquet: {args.out}")
    return 0


def bench_step(args: argparse.Namespace) -> int:
    """Time a zeroth-order step of all of a model against its bare forwards and other implementations."""
    import torch

    from zfscale.bench.settings import Settings
    from zfscale.bench.step import report

    names = (
        "model",
        "trained",
        "bottleneck",
        "copies",
        "batch_size",
        "precision",
        "noise",
        "optimizer",
        "momentum",
        "queries",
        "sides",
        "repeats",
    )
    threads = torch.get_num_threads() if args.threads is None else args.threads
    given = {name: value for name in names if (value := getattr(args, name)) is not None}
    print(report(Settings(**given, threads=threads, against=args.against and tuple(args.against)), args.json))
    return 0


def bench_sweep(args: argparse.Namespace) -> int:
    """Time a sweep of nearly free trials beside Ray Tune alone, and look at its memory and its files."""
    from zfscale.bench.sweeps import report

    print(report(args.trials, args.json))
    return 0


def bench_sinks(args: argparse.Namespace) -> int:
    """Time each sink, and look at the memory it takes in one long trial."""
    from zfscale.bench.sinks import report

    print(report(args.steps, args.sinks, args.json))
    return 0
