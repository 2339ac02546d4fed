"""What the report of each kind of stream shows: words and picture here, columns as the catalogue of measures says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from zfscale.metrics import catalogue
from zfscale.metrics.catalogue import Column
from zfscale.results.layout import ACCURACY_PICTURE, GAIN_PICTURE, LOSS_PICTURE
from zfscale.zo.catalogue import REFERENCE


@dataclass(frozen=True)
class Picture:
    """A picture of the report: its file's name, what stands above it, and below it."""

    file: str
    heading: str
    caption: str


@dataclass(frozen=True)
class Kind:
    """The report's section on one kind of stream.

    Args:
        name: The kind of stream.
        text: What the columns mean; of columns with a meaning of their own in the catalogue, nothing.
        pictures: What may be drawn, in order.
        derived: Columns that are no measures of a trial, but follow from several rows.
        repeated: The head of the column that counts a row's trials.
        paired: Whether runs are paired: then ± is the standard error, and bold is what differs by more than two.
    """

    name: str
    text: str
    pictures: tuple[Picture, ...]
    derived: Mapping[str, Column] = field(default_factory=dict)
    repeated: str = "seeds"
    paired: bool = False

    @cached_property
    def columns(self) -> dict[str, Column]:
        """Measure -> how it is shown, in order."""
        both = {**catalogue.columns(self.name), **self.derived}
        return dict(sorted(both.items(), key=lambda pair: pair[1].place))

    @property
    def first(self) -> str:
        """The measure by which the best setting of a method and optimizer is chosen."""
        return next(iter(self.columns))

    def legend(self, shown: Iterable[Column]) -> str:
        """What the columns mean that are shown."""
        own = [f" **{column.title}**: {column.meaning}." for column in shown if column.meaning]
        return self.text + "".join(own)


# What is derived of rows and their controls, all of the first measure but the memory.
GAIN, RECOVERED, ABOVE = "gain", "recovered", "memory_above_untrained"
SEARCHED = "search_forwards"  # what `zfscale tune` spent on the values of a row
EPOCHS = "train.epochs"  # the leaf by which trials of one optimizer differ in cost

CLASSES = Kind(
    name=catalogue.CLASSES,
    text=f"""\
Mean ± standard error over runs; a run is a seed with a class order, and runs count as independent. **Avg**: mean of
the stage accuracies; **Last**: accuracy over all classes after the last task; **Fgt**: forgetting, less is better;
**Plast**: plasticity, the accuracy on a task just learned: what never learned cannot forget;
**BWT**: accuracy after the last task less that on a task just learned, over all but the last. **untrained** is the
control of a method, its learning rate 0; **none**: the method has nothing to train. **gain**: Avg less that of the
untrained control of the same method, paired by run; **recovered**: the gain as a share of that of {REFERENCE}, with
the standard error of the delta method, empty where the gain of {REFERENCE} is within two standard errors of 0. Bold
is what exceeds two standard errors of a paired difference: a gain, and an Avg or Last that is ahead of every other
row of the method.""",
    pictures=(
        Picture(
            GAIN_PICTURE,
            "What training buys and costs",
            """\
Left: Avg less that of the untrained control of the same method, mean over the runs that both have, bar ± one standard
error; dotted, where the methods stand that train nothing. Right: the seconds of a trial less those of the control, so
without evaluations. A panel is a method on one model and stream (of the first 12); where an optimizer ran there with
several settings, the one with the best Avg is drawn.""",
        ),
        Picture(
            ACCURACY_PICTURE,
            "Accuracy per stage",
            """\
Accuracy over all classes seen so far, after each task: mean over runs, band ± one standard error. A panel is a method
on one model and stream (of the first 12); where an optimizer ran there with several settings, the one with the best
Avg is drawn.""",
        ),
    ),
    derived={
        GAIN: Column(catalogue.CLASSES, 10, "gain %", 2, 100, bold=True, optional=True),
        RECOVERED: Column(catalogue.CLASSES, 11, "recovered %", 1, 100, optional=True),
        SEARCHED: Column(
            catalogue.CLASSES,
            23,
            "search forwards",
            0,
            optional=True,
            meaning="forwards that `zfscale tune` spent, on held-out training images, to choose the row's values",
        ),
        ABOVE: Column(
            catalogue.CLASSES,
            22,
            "MiB above",
            1,
            2**-20,
            optional=True,
            meaning="peak memory of the tensors on the accelerator, less that of the untrained control",
        ),
    },
    repeated="runs",
    paired=True,
)
DOMAINS = Kind(
    name=catalogue.DOMAINS,
    text="""\
Mean ± sample standard deviation over seeds; losses are held-out (nats a token of text, squared error a pixel of
images). **final**: mean loss over domains after the last stage; **ppl**, **bits/byte**: the same as perplexity, and per
byte; **gain**: how far the loss on a domain fell while it was learned; **Fgt**: how far it then rose above its best;
**BWT**, **FWT**: backward and forward transfer, positive is good; **upstream**: loss on what the model was pretrained
on; **proto**: nearest-prototype accuracy. Bold: the best of its method.""",
    pictures=(
        Picture(
            LOSS_PICTURE,
            "Loss matrix",
            """\
Held-out loss on each domain (columns) of the pretrained model and after each stage (rows): mean over seeds. Colour:
change since the pretrained model; blue is learned, red is lost. A column is a method on one model and stream (of the
first 12); where an optimizer ran there with several settings, the one with the lowest final loss is drawn.""",
        ),
    ),
)
KINDS = {kind.name: kind for kind in (CLASSES, DOMAINS)}
MEASURES = tuple(dict.fromkeys(name for kind in KINDS.values() for name in catalogue.columns(kind.name)))
