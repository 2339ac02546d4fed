"""Language models, causal or masked, that go on with their pretraining."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import nn

from zfscale.data.examples import Examples
from zfscale.data.masking import mask_blocks
from zfscale.data.text import TextDomain, load_domain
from zfscale.models.families.base import Family, Price, Reader
from zfscale.models.families.classifier import transformer_price
from zfscale.models.language import LanguageNetwork
from zfscale.models.lm import LanguageBase, build_lm, load_lm, outline_lm, tokenizer_of
from zfscale.models.precision import precision_of

if TYPE_CHECKING:
    from zfscale.spec import DomainSpec, ModelSpec, StreamSpec, TrialSpec


class Blocks(Reader):
    """Token blocks of the domains of a stream."""

    def __init__(self, stream: StreamSpec, base: LanguageBase) -> None:
        assert stream.block_size is not None
        self._size, self._held_out = stream.block_size, stream.held_out_tokens
        self._tokenizer, self._masked = tokenizer_of(base), base.masked
        self.learned, self.upstream = stream.tokens_per_domain, stream.block_size

    def read(self, domain: DomainSpec, budget: int | None) -> Examples:
        text = load_domain(domain.name, domain.source, self._tokenizer, self._size, budget, self._held_out)
        return masked(text, self._tokenizer) if self._masked else causal(text)


class Language(Family):
    """An example is a block of B tokens, and its target the B - 1 tokens that follow; a masked model is given blocks
    with masks and predicts what was there, the same in every trial.
    """

    def load(self, model: ModelSpec) -> LanguageBase:
        return load_lm(model.name)

    def outline(self, base: LanguageBase) -> nn.Module:
        return outline_lm(base)

    def longest_block(self, base: LanguageBase) -> int | None:
        return base.max_block

    def reader(self, stream: StreamSpec, base: LanguageBase) -> Blocks:
        return Blocks(stream, base)

    def network(self, spec: TrialSpec, base: LanguageBase, seed: int, adapters: bool = False) -> LanguageNetwork:
        m, precision = spec.model, precision_of(spec.train.precision, spec.engine.dtype)
        lora = {"lora_rank": m.lora_rank, "lora_alpha": m.lora_alpha}
        module = build_lm(base, spec.optimizing.attention)
        return LanguageNetwork(module, m.train, precision, seed, base.masked, base.tokenizer, **lora)

    def price(self, spec: TrialSpec, base: LanguageBase) -> Price:
        assert spec.stream.block_size is not None
        return transformer_price(spec, base, spec.stream.block_size, base.config.vocab_size)


def causal(domain: TextDomain) -> Examples:
    """A text domain for a model that predicts the next token."""
    train, held_out = domain.train, domain.held_out
    return Examples(domain.name, train, train[:, 1:], held_out, held_out[:, 1:], domain.bytes_per_token)


def masked(domain: TextDomain, tokenizer: Any) -> Examples:
    """A text domain for a model that predicts hidden tokens: the same ones in every trial."""
    train, held_out = (
        mask_blocks(blocks, tokenizer, seed) for seed, blocks in enumerate((domain.train, domain.held_out))
    )
    return Examples(domain.name, *train, *held_out, domain.bytes_per_token)
