"""The command line: which commands there are. What a command takes stands beside it, in `commands/`."""

from __future__ import annotations

import argparse

from zfscale import __version__
from zfscale.commands import benches, ledgers, machines, results, sweeps
from zfscale.commands.given import RETRY


def parse(given: list[str]) -> argparse.Namespace:
    """What a command line says; it ends the program where that is wrong.

    Trials may come after options: argparse takes a list of none for the whole list, and gives back what comes later.
    """
    whole = parser()
    # Without `=`, the option would take FILE for its value.
    args, rest = whole.parse_known_args([f"{RETRY}=" if each == RETRY else each for each in given])
    trials = getattr(args, "trials", None)
    if rest and isinstance(trials, list) and not any(each.startswith("-") for each in rest):
        args.trials = [*trials, *rest]
    elif rest:
        whole.error(f"unrecognized arguments: {' '.join(rest)}")
    return args


def parser() -> argparse.ArgumentParser:
    """The parser of the command line; what it gives has the function of a command as `command`."""
    whole = argparse.ArgumentParser(prog="zfscale", description="Sweeps of continual-learning trials.")
    whole.add_argument("--version", action="version", version=f"zfscale {__version__}")
    add = whole.add_subparsers(title="commands", metavar="COMMAND", required=True).add_parser
    for group in (sweeps, results, ledgers, machines, benches):
        group.add_to(add)
    return whole
