"""What is timed, each as a function of no arguments that does one step's work.

NOTE: nothing here goes through DeepSpeed's engine, which adds the same constant to every forward of either side.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path

import torch
import torch.nn.functional as F

from zfscale.bench import peers
from zfscale.bench.settings import Settings
from zfscale.engine.module_leaves import ModuleLeaves
from zfscale.engine.module_oracle import ModuleOracle
from zfscale.errors import ModelError, ZfscaleError, nearest
from zfscale.models.adapters import Adapters
from zfscale.models.copies import Copies
from zfscale.models.heads import CosineHead, LinearHead
from zfscale.models.load import EMBEDDED
from zfscale.models.network import Network
from zfscale.models.pixels import Pixels
from zfscale.models.precision import PRECISIONS
from zfscale.models.vit import Encoder, build, load_base
from zfscale.spec.trial_blocks import OptimizerSpec
from zfscale.zo.directions.base import make_directions
from zfscale.zo.problem import Problem
from zfscale.zo.step import Stepper, make_algorithm

VIT_B16 = "vit-b16"
CLASSES = 100
LR, EPS = 1e-6, 1e-3  # no time depends on them: small, so that weights stay what they are like
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"

Run = Callable[[], object]


class Batch:
    """Random uint8 images [B, C, H, W] and labels, and what a network makes of them."""

    def __init__(self, pixels: Pixels, size: int) -> None:
        draw = torch.Generator().manual_seed(0)
        shape = (size, pixels.channels, pixels.size, pixels.size)
        self.images = torch.randint(0, 256, shape, dtype=torch.uint8, generator=draw).to(DEVICE)
        self.labels = torch.randint(0, CLASSES, (size,), generator=draw).to(DEVICE)

    def loss(self, network: Network) -> Callable[[], torch.Tensor]:
        """Cross-entropy, one forward a call."""
        return lambda: F.cross_entropy(network(self.images), self.labels)


class Step:
    """The product's own step: the leaves, hooks and noise that a trial makes, on the weights in the trial's format.

    Its forwards begin behind what is frozen, which has run before, as for the images of a stage, or runs `anew` in
    every step.
    """

    def __init__(self, s: Settings, anew: bool = False) -> None:
        self.network = _network(s, s.precision)
        self._batch, self._anew = batch_for(self.network, s), anew
        self.leaves, overlay = self.network.prepare(self._batch.images[:1])
        self._begun = self.network.begin(self._batch.images)
        o = OptimizerSpec.model_validate(
            {"name": s.optimizer, "lr": LR, "eps": EPS, "sides": s.sides, "momentum": s.momentum}
            | {"noise": s.noise, "queries": s.queries}
        )
        oracle = ModuleOracle(self._loss, self.leaves, overlay)
        self._stepper = Stepper(make_algorithm(o), Problem(oracle, make_directions(o, self.leaves, device=DEVICE)))
        self._s, self._seeds, self._taken = s, itertools.count(1), itertools.count()

    def __call__(self) -> None:
        if self._anew:
            self._begun = self.network.begin(self._batch.images)
        seeds = list(itertools.islice(self._seeds, self._s.queries))
        result = self._stepper.step(seeds, LR, next(self._taken))
        if not result.accepted:
            raise ZfscaleError(f"model {self._s.model!r}: its loss on random images is not a number")
        assert result.forwards == self._s.forwards

    def _loss(self) -> torch.Tensor:
        return F.cross_entropy(self.network(self._batch.images, begun=self._begun), self._batch.labels)


def contestants(s: Settings, names: Iterable[str]) -> dict[str, Run]:
    """Those of `names`. The peers and the bare float32 forwards share one model."""

    @cache
    def bare(precision: str) -> Network:
        return stored(_network(s, precision))

    def forwards(precision: str) -> Run:
        return _forwards(bare(precision), s)

    def first_order() -> Run:
        return peers.first_order(bare("fp32"), batch_for(bare("fp32"), s).loss(bare("fp32")), LR, s.momentum)

    def mezo() -> Run:
        return peers.mezo(bare("fp32"), batch_for(bare("fp32"), s).loss(bare("fp32")), LR, EPS)

    torch.backends.cudnn.allow_tf32 = False  # as the engine has it: float32 is float32 on either side
    makers: dict[str, Callable[[], Run]] = {
        "forwards": lambda: forwards(s.precision),
        "forwards_fp32": lambda: forwards("fp32"),
        "step": lambda: Step(s),
        "step_anew": lambda: Step(s, anew=True),
        "fo_sgd": first_order,
        "mezo": mezo,
        "infty": lambda: _infty(bare("fp32"), s),
    }
    return {name: makers[name]() for name in names}


def stored(network: Network) -> Network:
    """The network with each weight in the dtype its forward reads, as a model that is only run has it."""
    network.encoder.to(network.precision.compute)
    assert network.head is not None
    network.head.to(network.precision.trained)
    if network.adapters is not None:
        network.adapters.to(network.precision.trained)
    return network


def batch_for(network: Network, s: Settings) -> Batch:
    """The same batch for every network of a model."""
    return Batch(network.encoder.pixels, s.batch_size)


def largest_leaf(leaves: ModuleLeaves) -> int:
    """Bytes of the largest leaf in the dtype that a forward sees."""
    return max(leaf.parameter.numel() * leaf.seen.itemsize for leaf in leaves)


def _network(s: Settings, precision: str) -> Network:
    """Encoder and head in eval mode; what is not trained is frozen."""
    encoder = _vit_b16() if s.model == VIT_B16 else build(load_base(_known(s.model)))
    network = {"all": _whole, "adapter": _adapted, "copy": _copied}[s.trained](encoder, s, precision)
    return network.eval().to(DEVICE)


def _whole(encoder: Encoder, s: Settings, precision: str) -> Network:
    network = Network(encoder, precision=PRECISIONS[precision])
    network.head = head = LinearHead(encoder.width)
    head.grow(CLASSES, seed=0)
    return network


def _adapted(encoder: Encoder, s: Settings, precision: str) -> Network:
    network = Network(encoder, Adapters(encoder.backbone, s.bottleneck, 0.1, 0.0), PRECISIONS[precision])
    network.freeze()
    assert network.adapters is not None
    network.adapters.add(seed=0)
    network.head = CosineHead(encoder.width, CLASSES, seed=0)
    return network


def _copied(encoder: Encoder, s: Settings, precision: str) -> Network:
    network = Network(encoder, precision=PRECISIONS[precision])
    network.copies = copies = Copies(encoder)
    for _ in range(s.copies):
        fresh = copies.fresh()
        network.freeze()
        copies.pairs.append(fresh)
    network.head = head = LinearHead(encoder.width * len(copies))
    head.grow(CLASSES, seed=0)
    return network


def _known(model: str) -> str:
    """The name, if it can be one of a model: a directory, or with a slash in it. Errors: ModelError."""
    if "/" in model or Path(model).is_dir():
        return model
    known = [VIT_B16, *(f"embedded/{d.name}" for d in EMBEDDED.iterdir() if d.is_dir())]
    raise ModelError(f"model {model!r}: no such directory; {nearest(model, known)}, a directory, a hub id")


def _vit_b16() -> Encoder:
    """ViT-B/16 at 224 px (Dosovitskiy et al. 2021), 86 M random weights, which are as fast as trained ones."""
    from transformers import ViTConfig, ViTModel

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        backbone = ViTModel(ViTConfig(), add_pooling_layer=False)
    return Encoder(backbone, Pixels(224, 3, (0.5,) * 3, (0.5,) * 3))


def _forwards(network: Network, s: Settings) -> Run:
    """The bare forwards of one step."""
    loss = batch_for(network, s).loss(network)

    @torch.no_grad()
    def run() -> None:
        for _ in range(s.forwards):
            float(loss())

    return run


def _infty(network: Network, s: Settings) -> Run:
    batch = batch_for(network, s)
    base = torch.optim.SGD((p for p in network.parameters() if p.requires_grad), LR, s.momentum)
    return peers.infty(network, lambda: network(batch.images), peers.loss_of(batch.labels), base, EPS)
