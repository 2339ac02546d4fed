"""How a run of W&B ends: marked as uploaded, or kept on disk and told, since `zfscale sync` has to upload it.

While a run is on, W&B's service sends again whatever the server did not take. What is not uploaded `finish_timeout`
seconds after its end stays on disk, and so does all that follows a request that the server refused for good, which only
the log of the service says. An online run is marked as `wandb sync` marks its runs, so that a run without a mark, such
as one of a process that was killed, is one that `zfscale sync` takes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from zfscale.results.layout import WANDB
from zfscale.results.storage import Storage
from zfscale.sinks.guard import warn
from zfscale.sinks.wandb_log import faults
from zfscale.sinks.wandb_runs import mark_of

LEFT = "W&B did not take all of a run, which is kept on disk; `zfscale sync` uploads it"


def finish(there: Storage, run: Any, exit_code: int = 0) -> bool:
    """End a run, in a bucket send it there, and say whether it is where it belongs: uploaded, or offline on disk.

    An online run is waited for, for at most `finish_timeout` seconds. If it is not uploaded, a note says so.
    """
    log, told = Path(run.settings.sync_file), Path(run.settings.log_internal)
    lacking = None
    try:
        run.finish(exit_code=exit_code)
        if not run.offline:
            lacking = next((OSError(fault) for fault in faults(told)), None)
    except TimeoutError as error:
        lacking = error
    if lacking is not None:
        warn(there, WANDB, LEFT, lacking)
    elif not run.offline:
        mark_of(log).touch()
    there.send(WANDB)
    return lacking is None
