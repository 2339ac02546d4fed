"""What several commands are given on the command line, and how a value of it is read."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from zfscale.spec.sharding import Shard

Add = Callable[..., argparse.ArgumentParser]  # adds a command
RETRY = "--retry-failed"  # its value may be left out


def add_sweep_file(parser: argparse.ArgumentParser) -> None:
    """A sweep file, and values in place of its own."""
    parser.add_argument("file", metavar="FILE", help="the sweep file (YAML)")
    parser.add_argument(
        "--set",
        dest="overrides",
        metavar="PATH=VALUE",
        action="append",
        default=[],
        help="override a value of the file, e.g. --set optimizer.lr=1e-3 (repeatable)",
    )


def add_results(parser: argparse.ArgumentParser, places: str = " (path or URL)") -> None:
    """The results of a sweep."""
    parser.add_argument("directory", metavar="DIR", help=f"a sweep's results{places}, e.g. results/vit_classil")


def add_several_results(parser: argparse.ArgumentParser) -> None:
    """The results of one sweep or several."""
    parser.add_argument("directories", metavar="DIR", nargs="+", help="a sweep's results (path or URL)")


def add_running(parser: argparse.ArgumentParser) -> None:
    """How a sweep is run."""
    parser.add_argument("--dry-run", action="store_true", help="print trials and forwards; start nothing")
    parser.add_argument(
        RETRY,
        nargs="?",
        metavar="CAUSE",
        type=lambda text: text or True,
        default=False,
        help="run failed trials again as well; with =CAUSE, a part of an error, those that failed for it",
    )
    parser.add_argument(
        "--max-hours", type=hours, metavar="H", help="end after so many hours as Ctrl-C does; the same command resumes"
    )
    parser.add_argument(
        "--address",
        metavar="ADDRESS",
        default="local",
        help="a running Ray cluster: auto, HOST:PORT or ray://HOST:PORT; default: a new one on this machine",
    )


def hours(text: str) -> float:
    """A number above 0, or argparse's error."""
    if not (given := float(text)) > 0:
        raise argparse.ArgumentTypeError(f"expected a number > 0, got {text}")
    return given


def shard(text: str) -> Shard:
    """A share, or argparse's error."""
    from zfscale.spec.sharding import Shard

    try:
        return Shard.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def names(text: str) -> list[str]:
    """Distinct names, with commas between them, or argparse's error."""
    if found := list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip())):
        return found
    raise argparse.ArgumentTypeError(f"expected names, got {text!r}")


def count(text: str) -> int:
    """An integer of at least 1, or argparse's error."""
    if (given := int(text)) < 1:
        raise argparse.ArgumentTypeError(f"expected an integer >= 1, got {text}")
    return given
