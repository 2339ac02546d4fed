"""Continual-learning methods: what is learned from a task and how it is predicted; one method a file."""

from zfscale.methods.aper import Aper
from zfscale.methods.base import Method
from zfscale.methods.domains import DomainMethod, Sequential, ZeroShot
from zfscale.methods.ease import Ease
from zfscale.methods.finetune import Finetune
from zfscale.methods.joint import Joint
from zfscale.methods.replay import Replay
from zfscale.methods.simplecil import SimpleCil

__all__ = ["DOMAIN_METHODS", "METHODS", "DomainMethod", "Method"]

METHODS: dict[str, type[Method]] = {"finetune": Finetune, "simplecil": SimpleCil, "aper": Aper, "ease": Ease}
DOMAIN_METHODS: dict[str, type[DomainMethod]] = {
    "zero-shot": ZeroShot,
    "sequential": Sequential,
    "replay": Replay,
    "joint": Joint,
}
