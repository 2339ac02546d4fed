"""Ray Tune alone, for `zfscale bench sweep`: N trials that do nothing, on reused actors, with its default loggers.

python -m zfscale.sweep.plain N DIRECTORY ENDED

ENDED is a file for the times at which the trials ended, a JSON list: Tune writes its own files aside, and copies them
to the directory at the end, all at once.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from pathlib import Path
from typing import Any

from zfscale.sweep.environment import LOCAL, environment
from zfscale.sweep.private import SESSIONS, private_directory


def run(trials: int, directory: str) -> list[float]:
    """Run the trials on a cluster of their own; when each ended, as `time.time` has it."""
    with environment(LOCAL, quiet={}), private_directory() as place:
        import ray

        options: dict[str, Any] = {
            "include_dashboard": False,
            "_temp_dir": str(place / SESSIONS),
            "log_to_driver": False,
        }
        ray.init(address=LOCAL, logging_level=logging.ERROR, **options)
        try:
            return _fit(trials, directory)
        finally:
            ray.shutdown()


def _fit(trials: int, directory: str) -> list[float]:
    from ray import tune

    class Nothing(tune.Trainable):
        """A trial that is over as soon as it begins."""

        def reset_config(self, new_config: dict[str, Any]) -> bool:
            return True

        def step(self) -> dict[str, Any]:
            return {"done": True, "ended": time.time()}

    tuner = tune.Tuner(
        tune.with_resources(Nothing, {"CPU": 1}),
        param_space={"seed": tune.grid_search(list(range(trials)))},
        tune_config=tune.TuneConfig(reuse_actors=True),
        run_config=tune.RunConfig(
            name="plain",
            storage_path=directory,
            verbose=0,
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),  # else every actor ends with its trial
        ),
    )
    grid = tuner.fit()
    return [float((grid[i].metrics or {})["ended"]) for i in range(len(grid))]


if __name__ == "__main__":
    Path(sys.argv[3]).write_text(json.dumps(run(int(sys.argv[1]), sys.argv[2])))
