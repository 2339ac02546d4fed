"""The blocks of a sweep's trials: each is checked once, however many trials have it, and so is what is between two."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any

from pydantic import ValidationError

from zfscale.block import Block
from zfscale.spec.checks import aim, findings, learning, training
from zfscale.spec.kept import MOST, Given, Kept
from zfscale.spec.names import Finding
from zfscale.spec.stream import StreamSpec
from zfscale.spec.trial_blocks import EngineSpec, MethodSpec, ModelSpec, OptimizerSpec, TrainSpec
from zfscale.spec.yaml import Place

BLOCKS: dict[str, type[Block]] = {
    "model": ModelSpec,
    "stream": StreamSpec,
    "method": MethodSpec,
    "optimizer": OptimizerSpec,
    "train": TrainSpec,
    "engine": EngineSpec,
}
# Rules, and the two blocks that each is about.
RULES: tuple[tuple[Callable[[Any, Any], list[Finding]], str, str], ...] = (
    (findings, "model", "stream"),
    (learning, "method", "stream"),
    (aim, "train", "stream"),
    (training, "optimizer", "train"),
)


class Blocks:
    """Those of one expansion: directories, at which rules look, may change before the next."""

    def __init__(self) -> None:
        self.given = Given()
        self._made: dict[tuple[str, str], Block | None] = {}
        self._between = Kept[dict[Place, str]]()

    def made(self, whole: Mapping[str, Any]) -> dict[str, Any]:
        """The data of a trial with its valid blocks in place of theirs; equal ones are one object."""
        return {name: self._block(name, value) if name in BLOCKS else value for name, value in whole.items()}

    def _block(self, name: str, value: Any) -> Any:
        if not isinstance(value, dict) or value.get("class_order_seed", 0) is None:  # that of the trial
            return value
        key = (name, repr(value))
        if key in self._made:
            return self._made[key] or value
        block = _valid(BLOCKS[name], value)
        if block is not None:
            self.given.share(block)
        if len(self._made) < MOST:
            self._made[key] = block
        return block or value

    def between(self, blocks: Mapping[str, Any]) -> dict[Place, str]:
        """What of the blocks of a trial, each valid in itself, does not go with each other or with what is there."""
        found: dict[Place, str] = {}
        for rule, one, other in RULES:
            if one in blocks and other in blocks:
                pair = (rule, blocks[one], blocks[other])
                found |= self._between.of(pair, partial(_asked, *pair))
        return found


def _asked(rule: Callable[[Any, Any], list[Finding]], one: Block, other: Block) -> dict[Place, str]:
    return dict(rule(one, other))


def valid(whole: Mapping[str, Any]) -> dict[str, Any]:
    """The blocks of a trial that are valid, where others are not."""
    found = {name: _valid(model, whole.get(name)) for name, model in BLOCKS.items()}
    return {name: block for name, block in found.items() if block is not None}


def _valid(model: type[Block], value: Any) -> Block | None:
    with suppress(ValidationError):
        return model.model_validate(value)
    return None
