"""The `stream` block: the tasks of a trial, of classes or of domains, and where their data is."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from zfscale.block import MAX_SEED, Block
from zfscale.spec.names import OneOf
from zfscale.spec.outside import OpenBlock
from zfscale.spec.sources import Dataset, DomainData, DomainPath, HubDataset
from zfscale.spec.text import Text
from zfscale.streams.catalogue import STREAMS, Protocol, stream


class DomainSpec(Block):
    """One domain of a domain-incremental stream."""

    name: Text = Field(description="what it is called in tables and plots")
    dataset: DomainData | None = Field(
        default=None,
        description="an embedded text or image source, a hub id, {hub: ID, config: ...}, or {path: GLOB, format: "
        "text}; null: its name",
    )

    @property
    def source(self) -> str | HubDataset | DomainPath:
        """Where its data comes from."""
        return self.name if self.dataset is None else self.dataset


def _label(value: Any) -> str:
    return "<number>" if isinstance(value, int) and not isinstance(value, bool) else "<name>"


ClassLabel = Annotated[
    Annotated[Text, Tag("<name>")] | Annotated[int, Field(ge=0), Tag("<number>")], Discriminator(_label)
]


class StreamSpec(OpenBlock):
    """The tasks, in the order they are learnt; which keys are needed depends on `kind`."""

    KEY = "kind"
    CATALOGUE = STREAMS
    facts = staticmethod(stream)

    kind: Annotated[str, OneOf(STREAMS, "module:Class of your own")] = Field(
        default="class_incremental",
        description="class_incremental: every task brings new classes; domain_incremental: new text, or other images",
    )
    dataset: Dataset | None = Field(
        default=None,
        description="a name (mnist5k, digits, fashion_mnist, fashion1k, glyphs, photos, scripts100), a hub id, "
        "{hub: ID, config: ..., split: ...}, or {path: DIR, format: imagefolder}",
    )
    tasks: int | None = Field(default=None, ge=1, description="number of tasks; divides the number of classes")
    first_task_classes: int | None = Field(
        default=None, ge=1, description="classes of the first task; the other tasks share the rest"
    )
    task_sizes: Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(strict=False, min_length=1)] | None = Field(
        default=None, description="classes of each task, such as [50, 10, 10], in place of `tasks`"
    )
    class_order_seed: int | None = Field(
        default=1993, ge=0, le=MAX_SEED, description="seed of the order of the classes; null: that of the trial"
    )
    class_order: Annotated[tuple[ClassLabel, ...], Field(strict=False, min_length=1)] | None = Field(
        default=None, description="all classes as they arrive, names or numbers, in place of `class_order_seed`"
    )
    validation: float | None = Field(
        default=None,
        gt=0,
        description="training images that are held out, a share below 1 or their number; the trial is then measured on "
        "these, and the test images are not looked at. null: none",
    )
    transform: Literal["fit", "crop"] = Field(
        default="fit",
        description="images for the model: fit, shorter side to its size, nothing of it cut off; crop, to 8/7 of its "
        "size and the centre of that, as in the benchmark (256 and 224)",
    )
    random_crop: float = Field(
        default=1.0,
        gt=0,
        le=1,
        description="least share of a training image's area in a random resized crop; the benchmark's is 0.05. 1: none",
    )
    random_flip: bool = Field(default=False, description="whether half of the training images are mirrored, at random")
    old_loss_every: int | None = Field(
        default=None,
        ge=1,
        description="steps between looks at the loss of earlier tasks' training images while a task is learned; the "
        "looks are in `evals`, and their seconds are not counted. With first-order steps, a killed trial then starts "
        "again from its second task. null: none",
    )
    forward_transfer: bool = Field(
        default=False,
        description="whether FWT is measured: each task but the first is also learned alone, by a fresh model. That "
        "takes as long again, and neither its forwards nor its seconds are counted",
    )
    domains: Annotated[tuple[DomainSpec, ...], Field(strict=False, min_length=1)] | None = Field(
        default=None, description="the domains, [{name: ..., dataset: ...}, ...]"
    )
    upstream: DomainSpec | None = Field(
        default=None, description="held-out data of what the model was pretrained on; null: none"
    )
    order_seed: int | None = Field(
        default=None, ge=0, le=MAX_SEED, description="seed of the order of domains; null: as listed"
    )
    block_size: int | None = Field(default=None, ge=2, description="tokens of an example")
    tokens_per_domain: int | None = Field(default=None, ge=1, description="training budget of each; null: all there is")
    held_out_tokens: int = Field(default=16384, ge=1, description="tokens of each that are evaluated on")
    images_per_domain: int | None = Field(
        default=None, ge=1, description="training budget of each; null: all there are"
    )
    held_out_images: int = Field(
        default=512, ge=1, description="how many of a domain's test images are evaluated on, at most"
    )

    @property
    def zoom(self) -> float:
        """The side that images are brought to before the centre crop, over the model's."""
        return 8 / 7 if self.transform == "crop" else 1.0

    @property
    def protocol(self) -> Protocol:
        """How a trial of the stream is measured."""
        return stream(self.kind).protocol
