"""Every method, optimizer, stream and family of the package keeps its contract."""

from __future__ import annotations

from typing import Any

from tests.conftest import OPTIMIZERS
from zfscale.methods.catalogue import METHODS
from zfscale.models.catalogue import FAMILIES
from zfscale.streams.catalogue import STREAMS
from zfscale.testing.trials import FamilyContract, LearnerContract, OptimizerContract, StreamContract

TEXTS: dict[str, Any] = {
    "kind": "domain_incremental",
    "domains": [{"name": "licenses"}, {"name": "reference"}],
    "block_size": 16,
    "tokens_per_domain": 256,
    "held_out_tokens": 64,
}
IMAGES: dict[str, Any] = {
    "kind": "domain_incremental",
    "domains": [{"name": "digits"}, {"name": "glyphs"}],
    "images_per_domain": 16,
    "held_out_images": 8,
}
LM: dict[str, Any] = {"model": {"name": "embedded/lm-nano"}, "stream": TEXTS, "method": {"name": "sequential"}}
MIM: dict[str, Any] = {"model": {"name": "embedded/mae-nano"}, "stream": IMAGES, "method": {"name": "sequential"}}
MIM["train"] = {"epochs": 1, "batch_size": 8, "objective": "reconstruction"}


def cases(contract: type, blocks: dict[str, dict[str, Any]]) -> dict[str, type]:
    """A subclass of the contract for each of the blocks, under a name that pytest collects."""
    return {
        f"Test{contract.__name__.removesuffix('Contract')}_{name.replace('-', '_')}": type(
            f"Test_{name}", (contract,), {**own, "__module__": __name__}
        )
        for name, own in blocks.items()
    }


methods = {
    name: {**(LM if facts.stream == "domain_incremental" else {}), "method": {"name": name}}
    for name, facts in METHODS.items()
}
globals().update(cases(LearnerContract, methods))
globals().update(
    cases(OptimizerContract, {name: {"optimizer": {"name": name, "lr": lr}} for name, lr in OPTIMIZERS.items()})
)
streams = {"classes": {}, "texts": LM, "images": MIM}
globals().update(cases(StreamContract, streams))
families = {"classifier": {}, "language": LM, "masked_image": MIM}
globals().update(cases(FamilyContract, families))


def test_every_stream_and_family_of_the_package_has_a_case() -> None:
    assert {case.get("stream", {}).get("kind", "class_incremental") for case in streams.values()} == set(STREAMS)
    assert set(families) == set(FAMILIES)
