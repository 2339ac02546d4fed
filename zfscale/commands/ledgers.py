"""Commands on the past of trials, which their ledgers give back."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from zfscale.errors import StorageError


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
