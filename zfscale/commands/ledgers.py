"""Commands on the past of trials, which their ledgers give back."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from zfscale.commands.given import Add, add_results, count, names
from zfscale.errors import StorageError


def replay(args: argparse.Namespace) -> int:
    """Write the model of a finished forward-only trial, at any step, as a from_pretrained directory."""
    from zfscale.trial.replay import replay as rebuild
    from zfscale.watch.standing import one, results_of

    there = results_of(args.directory)
    trial = one(there, args.trial)
    steps = rebuild(there, trial, Path(args.out), args.step)
    print(f"{args.out}: trial {trial} after {steps} steps")
    return 0


def measure(args: argparse.Namespace) -> int:
    """Measure a finished forward-only trial at every so many steps of its past, from its ledger; no weights were kept.

    Writes the table measures/TRIAL_ID.parquet of the results, and a picture beside it.
    """
    from zfscale.measure.measure import measure as look_back
    from zfscale.watch.standing import one, results_of

    there = results_of(args.directory)
    for trial in [one(there, trial) for trial in args.trials]:
        print(look_back(there, trial, args.every, args.what, args.data))
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


def add_to(add: Add) -> None:
    """What each of these commands takes."""
    command = add("replay", help="rebuild a trial's model", description=replay.__doc__)
    add_results(command)
    command.add_argument("trial", metavar="TRIAL_ID", help="its first digits will do")
    command.add_argument(
        "--step", type=int, metavar="N", help="after N steps, counted over all tasks; default: the last"
    )
    command.add_argument("-o", "--out", required=True, metavar="OUT", help="directory to write the model to")
    command.set_defaults(command=replay)

    command = add("measure", help="measure a trial's past", description=measure.__doc__)
    add_results(command)
    command.add_argument("trials", nargs="+", metavar="TRIAL_ID", help="its first digits will do")
    command.add_argument("--every", type=count, metavar="N", required=True, help="steps from one look to the next")
    command.add_argument(
        "--what",
        type=names,
        metavar="NAMES",
        default=["accuracy", "loss"],
        help="accuracy, loss, drift or module:function of your own, with commas; default: accuracy,loss",
    )
    command.add_argument(
        "--data", metavar="DATA", help="other test data: a stream.dataset, or one more domain, as YAML"
    )
    command.set_defaults(command=measure)

    command = add("verify", help="see whether results hold", description=verify.__doc__)
    add_results(command)
    command.add_argument("trials", metavar="TRIAL_ID", nargs="*", help="its first digits will do; default: all")
    command.add_argument(
        "--losses", type=count, metavar="N", default=0, help="measure N steps of each trial again; default: none"
    )
    command.set_defaults(command=verify)
