"""Ray Tune's Bayesian optimization, made to bear proposals that are equal and trials that fail."""

from __future__ import annotations

from typing import Any

from ray.tune.search import Searcher
from ray.tune.search.bayesopt import BayesOptSearch

from zfscale.spec import SearchSpec

NEVER = 10**9  # times that it may propose the same before it gives up


class Bayesian(BayesOptSearch):
    """Learns of a place once, as the library demands, and where trials fail, that it is as bad as any so far.

    NOTE: Ray Tune's class learns nothing from a failure, and so proposes the same place again.
    """

    optimizer: Any  # the library's

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """As Ray Tune's; a trial that failed takes the worst value there is."""
        known = self.optimizer.space.target
        if error and len(known):
            result, error = {self.metric: self._metric_op * known.min()}, False
        super().on_trial_complete(trial_id, result, error)

    def _register_result(self, params: Any, result: dict[str, Any]) -> None:
        places = self.optimizer.space
        if places.params_to_array(params) not in places:
            super()._register_result(params, result)


def bayesopt(search: SearchSpec, space: dict[str, Any], points: list[dict[str, Any]], seed: int) -> Searcher:
    """A Gaussian process and an acquisition function.

    NOTE: Ray Tune's class waits for ever if one of its own random trials fails; all our startup is in `points`.
    """
    a = search.algorithm
    return Bayesian(
        Bayesian.convert_search_space(space),
        search.metric,
        search.mode,
        points_to_evaluate=points,
        utility_kwargs={"kind": a.acquisition, "kappa": a.kappa, "xi": a.xi},
        random_state=seed,
        random_search_steps=0,
        patience=NEVER,
        skip_duplicate=False,
    )
