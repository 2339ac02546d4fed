"""Continual-learning methods: what is learned from a task and how a class is predicted; one method a file."""

from zfscale.methods.aper import Aper
from zfscale.methods.base import Method
from zfscale.methods.ease import Ease
from zfscale.methods.finetune import Finetune
from zfscale.methods.simplecil import SimpleCil

METHODS: dict[str, type[Method]] = {"finetune": Finetune, "simplecil": SimpleCil, "aper": Aper, "ease": Ease}
