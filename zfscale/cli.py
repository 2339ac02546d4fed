"""The program `zfscale`: runs the command that it is given, and says in one line what was wrong with it."""

from __future__ import annotations

import io
import logging
import sys

from zfscale.arguments import parse
from zfscale.errors import ZfscaleError
from zfscale.results.redact import Redacted, redact


def main(argv: list[str] | None = None) -> int:
    """Run one command; the exit code is 2 where the input was wrong."""
    given = sys.argv[1:] if argv is None else argv
    args = parse(given)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a terminal of ASCII, a path that is not UTF-8
    if logging.lastResort is not None:  # prints the warnings of a program that configures no logging
        logging.lastResort.setFormatter(Redacted())
    try:
        return int(args.command(args))
    except ZfscaleError as error:
        print(redact(str(error)), file=sys.stderr)
        return 2
    except BrokenPipeError:  # the reader of our output, `head` say, has seen enough
        sys.stdout = None
        return 0
    except OSError as error:
        print(redact(f"{error.filename}: {error.strerror}" if error.filename else str(error)), file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
