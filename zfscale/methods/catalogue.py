"""The continual-learning methods by name: what they learn, what they train, which options they read.

Nothing here needs torch: a method is a path, "package.module:Class", that is imported when a trial runs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

from zfscale import registry
from zfscale.errors import SpecError, nearest
from zfscale.methods import options

Trained = Literal["all", "adapter", "none", "model"]
TRAINED: tuple[str, ...] = get_args(Trained)
PROTOCOLS = ("class_incremental", "domain_incremental")


@dataclass(frozen=True)
class Method:
    """The facts of a method.

    Args:
        path: Its class.
        stream: The kind of stream it learns.
        trained: What it trains, which decides memory: all weights, an adapter, nothing, or what `model.train` says.
        options: The options of the `method` block that mean something to it.
        own: A pydantic model (zfscale.spec.Block) of options that no other method has.
        learns: Whether it trains that at all; a method that does not may still make its model with an adapter.
    """

    path: str
    stream: str
    trained: Trained
    options: frozenset[str] = frozenset()
    own: Any = None
    learns: bool = True

    def __post_init__(self) -> None:
        for given, known in ((self.stream, PROTOCOLS), (self.trained, TRAINED)):
            if given not in known:
                raise SpecError(f"unknown {given!r}; {nearest(given, known)}")

    @property
    def trains(self) -> bool:
        """Whether there is anything for an optimizer to do."""
        return self.learns and self.trained != "none"

    @property
    def lasting(self) -> bool:
        """Whether a stage trains weights that earlier ones have trained, so that an optimizer's state has a future."""
        return self.trained in ("all", "model")

    def load(self) -> Any:
        """The class."""
        return registry.load_user(self.path)


_ADAPTER = frozenset({"bottleneck", "adapter_scale", "adapter_dropout"})
METHODS: dict[str, Method] = {
    "finetune": Method("zfscale.methods.finetune:Finetune", "class_incremental", "all", own=options.LossOver),
    "simplecil": Method("zfscale.methods.simplecil:SimpleCil", "class_incremental", "none"),
    "pixels": Method("zfscale.methods.pixels:Pixels", "class_incremental", "none"),
    "ranpac": Method("zfscale.methods.ranpac:RanPac", "class_incremental", "none", own=options.RandomFeatures),
    "aper": Method("zfscale.methods.aper:Aper", "class_incremental", "adapter", _ADAPTER, own=options.CosineStart),
    "ease": Method(
        "zfscale.methods.ease:Ease", "class_incremental", "adapter", _ADAPTER | {"alpha", "beta"}, own=options.Kept
    ),
    "rehearsal": Method("zfscale.methods.rehearsal:Rehearsal", "class_incremental", "all", own=options.Buffer),
    "ewc": Method("zfscale.methods.ewc:Ewc", "class_incremental", "all", own=options.Ewc),
    "lwf": Method("zfscale.methods.lwf:Lwf", "class_incremental", "all", own=options.Distillation),
    "memo": Method("zfscale.methods.memo:Memo", "class_incremental", "all", own=options.Memo),
    "zero-shot": Method("zfscale.methods.domains:ZeroShot", "domain_incremental", "model", learns=False),
    "sequential": Method("zfscale.methods.domains:Sequential", "domain_incremental", "model"),
    "replay": Method("zfscale.methods.replay:Replay", "domain_incremental", "model", frozenset({"replay_fraction"})),
    "joint": Method("zfscale.methods.joint:Joint", "domain_incremental", "model"),
}


def method(name: str) -> Method:
    """The facts of a method by name, or of a user's own at "package.module:Class". Errors: SpecError."""
    return registry.facts_of(name, METHODS, Method, "method.name")


def of_stream(kind: str) -> tuple[str, ...]:
    """The names of the methods that learn a kind of stream."""
    return tuple(name for name, facts in METHODS.items() if facts.stream == kind)
