"""The commands, and no logic: each is one small function that imports what it needs when it runs."""

from __future__ import annotations

import argparse
import sys

from zfscale import __version__
from zfscale.errors import ZfscaleError


def validate(args: argparse.Namespace) -> int:
    """Check a sweep file and count its trials; nothing is started."""
    from zfscale import spec

    count = len(spec.load(args.file, args.overrides).trials)
    print(f"{args.file}: ok, {count} trial{'' if count == 1 else 's'}")
    return 0


def schema(args: argparse.Namespace) -> int:
    """Print the JSON Schema of a sweep file."""
    import json

    from zfscale import spec

    print(json.dumps(spec.json_schema(), indent=2))
    return 0


def _add_sweep_file(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help="the sweep file (YAML)")
    parser.add_argument(
        "--set",
        dest="overrides",
        metavar="PATH=VALUE",
        action="append",
        default=[],
        help="override a value of the file, e.g. --set optimizer.lr=1e-3 (repeatable)",
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="zfscale", description="Sweeps of continual-learning trials.")
    parser.add_argument("--version", action="version", version=f"zfscale {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    command = commands.add_parser("validate", help="check a sweep file", description=validate.__doc__)
    _add_sweep_file(command)
    command.set_defaults(command=validate)

    command = commands.add_parser("schema", help="print the JSON Schema", description=schema.__doc__)
    command.set_defaults(command=schema)
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run one command; the exit code is 2 where the input was wrong."""
    args = _parser().parse_args(argv)
    try:
        return int(args.command(args))
    except ZfscaleError as error:
        print(error, file=sys.stderr)
        return 2
