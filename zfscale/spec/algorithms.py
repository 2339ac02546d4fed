"""`search.algorithm`: how the values of the space that are no grid are chosen, and the options of each way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from pydantic import BeforeValidator, Field, model_validator

from zfscale.block import MAX_SEED
from zfscale.spec.drawing import Draw, ends, independent, sobol
from zfscale.spec.named import NamedBlock, Reads, by_name
from zfscale.spec.names import OneOf

SEARCHERS = ("seed", "startup")  # what all of them read


@dataclass(frozen=True)
class Facts:
    """The facts of an algorithm.

    Args:
        draw: How the samples of a file are drawn; a searcher's are drawn to look at the space, and never run.
        options: The options that it reads.
        path: What makes Ray Tune's class of a searcher; "" where all trials of a file are known before it is run.
        needs: The module that a searcher must be able to import.
        ordered: Whether it can only choose numbers.
        early: Whether it can learn from a trial that a scheduler has stopped.
        whole: Whether it takes every value of the space.
    """

    draw: Draw
    options: tuple[str, ...] = ()
    path: str = ""
    needs: str = ""
    ordered: bool = False
    early: bool = True
    whole: bool = False


ALGORITHMS: dict[str, Facts] = {
    "random": Facts(independent),
    "sobol": Facts(sobol),
    "grid": Facts(independent, whole=True),
    "optuna": Facts(ends, (*SEARCHERS, "multivariate"), "zfscale.sweep.searchers:optuna", "optuna"),
    "hyperopt": Facts(ends, (*SEARCHERS, "gamma"), "zfscale.sweep.searchers:hyperopt", "hyperopt", early=False),
    "bayesopt": Facts(
        ends,
        (*SEARCHERS, "acquisition", "kappa", "xi"),
        "zfscale.sweep.bayes:bayesopt",
        "bayes_opt",
        ordered=True,
        early=False,
    ),
}


PREFERS = {"kappa": ("ucb",), "xi": ("ei", "poi")}  # an option of bayesopt -> the acquisitions that read it


class AlgorithmSpec(NamedBlock):
    """How the values of the space that are no grid are chosen."""

    CATALOGUE: ClassVar[Mapping[str, Reads]] = ALGORITHMS
    name: Annotated[str, OneOf(tuple(ALGORITHMS))] = Field(
        default="random",
        description="random: each draw by itself; sobol: spread evenly over the space; grid: every value there is; by "
        "the results of earlier trials: optuna (tree-structured Parzen estimators), hyperopt (the same, of Bergstra et "
        "al.), bayesopt (a Gaussian process)",
    )
    seed: int = Field(
        default=0,
        ge=0,
        le=MAX_SEED,
        description="seed of the searcher: its proposals follow from it and from the results, in their order",
    )
    startup: int = Field(
        default=10,
        ge=1,
        description="proposals that are drawn as `random` draws them, before the searcher makes its own; earlier "
        "trials of the sweep count",
    )
    multivariate: bool = Field(default=False, description="whether dependencies between paths are modelled")
    gamma: float = Field(default=0.25, gt=0, lt=1, description="share of the trials that count as good")
    acquisition: Literal["ucb", "ei", "poi"] = Field(
        default="ucb", description="upper confidence bound, expected improvement, or its probability"
    )
    kappa: float = Field(default=2.576, ge=0, description="of ucb: how much an uncertain value is preferred")
    xi: float = Field(default=0.0, ge=0, description="of ei and poi: the least improvement")

    @model_validator(mode="after")
    def _reads_what_it_prefers(self) -> AlgorithmSpec:
        for option, readers in PREFERS.items():
            if option in self.model_fields_set and self.acquisition not in readers:
                others = f"{', '.join(readers)} read{'s' * (len(readers) == 1)} it"
                raise ValueError(f"{option!r} has no effect on acquisition: {self.acquisition}; {others}")
        return self

    @property
    def facts(self) -> Facts:
        """What is known of the algorithm."""
        return ALGORITHMS[self.name]

    @property
    def searches(self) -> bool:
        """Whether trials are proposed one after another, by the results of earlier ones."""
        return bool(self.facts.path)


Algorithm = Annotated[AlgorithmSpec, BeforeValidator(by_name, json_schema_input_type=str | AlgorithmSpec)]
