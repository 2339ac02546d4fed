"""Ray Tune alone, for `zfscale bench sweep`: N trials that do nothing, on reused actors, with its default loggers.

python -m zfscale.sweep.plain N DIRECTORY
"""

from __future__ import annotations

import logging
import sys
import time
from typing import Any

from zfscale.sweep.environment import LOCAL, environment
from zfscale.sweep.private import SESSIONS, private_directory

NAME = "plain"  # the directory of the experiment
ENDED = "ended"  # when a trial ended, as `time.time` has it


def run(trials: int, directory: str) -> None:
    """Run the trials on a cluster of their own; Tune's results stay in the directory."""
    with environment(LOCAL, quiet={}), private_directory() as place:
        import ray

        options: dict[str, Any] = {
            "include_dashboard": False,
            "_temp_dir": str(place / SESSIONS),
            "log_to_driver": False,
        }
        ray.init(address=LOCAL, logging_level=logging.ERROR, **options)
        try:
            _fit(trials, directory)
        finally:
            ray.shutdown()


def _fit(trials: int, directory: str) -> None:
    from ray import tune

    class Nothing(tune.Trainable):
        """A trial that is over as soon as it begins."""

        def reset_config(self, new_config: dict[str, Any]) -> bool:
            return True

        def step(self) -> dict[str, Any]:
            return {"done": True, ENDED: time.time()}

    tune.Tuner(
        tune.with_resources(Nothing, {"CPU": 1}),
        param_space={"seed": tune.grid_search(list(range(trials)))},
        tune_config=tune.TuneConfig(reuse_actors=True),
        run_config=tune.RunConfig(
            name=NAME,
            storage_path=directory,
            verbose=0,
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),  # else every actor ends with its trial
        ),
    ).fit()


if __name__ == "__main__":
    run(int(sys.argv[1]), sys.argv[2])
