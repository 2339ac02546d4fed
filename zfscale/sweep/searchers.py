"""Ray Tune's own searchers, each on a cube: a number of [0, 1) for a path of numbers, an index for a choice.

What a number stands for, the distribution of the path says, as for every other draw; so trials have the same ids.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from ray import tune
from ray.tune.search import Searcher

from zfscale.spec import SearchSpec
from zfscale.spec.distributions import LAST, Distribution

Space = dict[str, Any]  # path -> one of Ray Tune's domains
Points = list[dict[str, Any]]  # which are to be proposed first


def optuna(search: SearchSpec, space: Space, points: Points, seed: int) -> Searcher:
    """Tree-structured Parzen estimators (Bergstra et al. 2011), as Optuna has them."""
    import optuna as library
    from ray.tune.search.optuna import OptunaSearch

    logging.getLogger("optuna").setLevel(logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", library.exceptions.ExperimentalWarning)
        sampler = library.samplers.TPESampler(
            seed=seed, n_startup_trials=search.algorithm.startup, multivariate=search.algorithm.multivariate
        )
    options = OptunaSearch.convert_search_space(space)
    return OptunaSearch(options, search.metric, search.mode, points_to_evaluate=points, sampler=sampler)


def hyperopt(search: SearchSpec, space: Space, points: Points, seed: int) -> Searcher:
    """Tree-structured Parzen estimators, as their authors have them."""
    from ray.tune.search.hyperopt import HyperOptSearch

    return HyperOptSearch(
        HyperOptSearch.convert_search_space(space),
        search.metric,
        search.mode,
        points_to_evaluate=points,
        n_initial_points=search.algorithm.startup,
        random_state_seed=seed,
        gamma=search.algorithm.gamma,
    )


def space_of(searched: Mapping[str, Distribution]) -> Space:
    """The cube."""
    return {
        path: tune.uniform(0.0, 1.0) if values.options is None else tune.choice(list(range(values.options)))
        for path, values in searched.items()
    }


def points_of(searched: Mapping[str, Distribution], proposals: Sequence[Mapping[str, Any]]) -> Points:
    """Values as places of the cube."""
    shares = [{path: values.share(one[path]) for path, values in searched.items()} for one in proposals]
    return [{path: _inside(searched[path], share) for path, share in one.items()} for one in shares]


def shares_of(searched: Mapping[str, Distribution], point: Mapping[str, Any]) -> dict[str, float]:
    """A place of the cube as numbers of [0, 1)."""
    return {
        path: min(float(point[path]), LAST) if values.options is None else (int(point[path]) + 0.5) / values.options
        for path, values in searched.items()
    }


def _inside(values: Distribution, share: float) -> Any:
    return share if values.options is None else int(share * values.options)
