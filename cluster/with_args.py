"""Run a command with the words of the variable ARGS after its own: `with_args.py PROGRAM WORD...`.

Quotes and backslashes keep a word whole, as in a shell; nothing of ARGS is run, and no `$` or `*` is looked at.
"""

import os
import shlex
import sys

try:
    words = shlex.split(os.environ.get("ARGS", ""))
except ValueError as error:  # a quote that nothing closes
    sys.exit(f"ARGS={os.environ['ARGS']}: {error}")
try:
    os.execvp(sys.argv[1], [*sys.argv[1:], *words])
except OSError as error:
    sys.exit(f"{sys.argv[1]}: {error.strerror}")
