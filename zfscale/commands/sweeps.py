"""Commands on a sweep file."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from zfscale.commands.given import Add, add_running, add_sweep_file, shard

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
    count, most = sweep.size, "at most " * bool(sweep.unknown) + "at least " * sweep.grows
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
    from zfscale.garbage import freeze
    from zfscale.sweep.launch import run as run_sweep

    freeze()
    ended = run_sweep(sweep, continue_stopped=args.continue_stopped, **_running(args))
    if _unfinished(ended, ended.trials or sweep.size):
        return 130
    print(ended.report)
    _stopped(ended, ended.trials or sweep.size)
    return 1 if _failed(ended, ended.trials or sweep.size) and not args.exit_zero else 0


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
    from zfscale.records import Status

    _tell(Status.FAILED.value, ended.failed, trials, ended.over, "--retry-failed runs them again")
    return bool(ended.failed)


def _stopped(ended: Ended, trials: int) -> None:
    """Tell of trials that were stopped."""
    from zfscale.records import Status

    _tell(Status.STOPPED.value, ended.stopped, trials, ended.over, "--continue-stopped runs them to their end")


def _tell(status: str, count: int, trials: int, over: str, again: str) -> None:
    """Tell of trials that ended without a result of their own, and what has them run again."""
    if count:
        why = f"none is run again, since {over}" if over else again
        print(f"{status}: {count} of {trials} trials; {why}", file=sys.stderr)


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
    from zfscale.garbage import freeze
    from zfscale.sweep.launch import run as run_sweep

    freeze()
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


def workspace(args: argparse.Namespace) -> int:
    """Save a W&B workspace for the runs of a sweep, grouped by method and optimizer, and print its URL.

    The same command sets the view back to what it was. Needs the extra `workspace`.
    """
    from zfscale.sinks.wandb_workspace import save

    print(save(_load(args)))
    return 0


def add_to(add: Add) -> None:
    """What each of these commands takes."""
    command = add("validate", help="check a sweep file", description=validate.__doc__)
    add_sweep_file(command)
    command.add_argument("--data", action="store_true", help="read models and datasets too, as a run would")
    command.set_defaults(command=validate)

    command = add("run", help="run a sweep, or what is left of it", description=run.__doc__)
    add_sweep_file(command)
    add_running(command)
    command.add_argument(
        "--continue-stopped", action="store_true", help="run trials that a scheduler has stopped to their end"
    )
    command.add_argument("--exit-zero", action="store_true", help="exit with 0 in place of 1 if trials failed")
    command.add_argument(
        "--shard", type=shard, metavar="I/N", help="run the I-th of N shares, into results of its own, NAME.IofN"
    )
    command.set_defaults(command=run)

    command = add("tune", help="choose a sweep's values, each at one budget", description=tune.__doc__)
    add_sweep_file(command)
    add_running(command)
    command.add_argument("-o", "--out", required=True, metavar="FILE", help="where to write the tuned sweep file")
    command.set_defaults(command=tune)

    command = add("workspace", help="save a W&B workspace for a sweep", description=workspace.__doc__)
    add_sweep_file(command)
    command.set_defaults(command=workspace)

    command = add("schema", help="print the JSON Schema", description=schema.__doc__)
    command.add_argument("--markdown", action="store_true", help="print tables of the options, in Markdown")
    command.set_defaults(command=schema)
