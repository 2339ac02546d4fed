"""A command that ends with whoever started it, however that ends: `python leash.py COMMAND...`.

The command has a process group of its own, which is killed when the standard input of this process closes: the kernel
closes it even where the other end was killed. What this process inherits, a lock say, it holds until then.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress


def main(command: list[str]) -> int:
    """Run the command to its end, or to that of the standard input; its exit status, negative for a signal."""
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)

    def watch() -> None:
        while os.read(0, 1024):
            pass
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)

    threading.Thread(target=watch, daemon=True).start()
    return child.wait()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
