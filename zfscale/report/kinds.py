"""What the report of each kind of stream shows: words and picture here, columns as the catalogue of measures says."""

from __future__ import annotations

from dataclasses import dataclass

from zfscale.metrics import catalogue
from zfscale.metrics.catalogue import Column
from zfscale.results.layout import ACCURACY_PICTURE, LOSS_PICTURE


@dataclass(frozen=True)
class Kind:
    """The report's section on one kind of stream.

    Args:
        name: The kind of stream.
        text: What the columns mean; of columns with a meaning of their own in the catalogue, nothing.
        picture: The file's name.
        heading: Above the picture.
        caption: Below it.
    """

    name: str
    text: str
    picture: str
    heading: str
    caption: str

    @property
    def columns(self) -> dict[str, Column]:
        """Measure -> how it is shown, in order."""
        return catalogue.columns(self.name)

    @property
    def first(self) -> str:
        """The measure by which the best setting of a method and optimizer is chosen."""
        return next(iter(self.columns))

    @property
    def legend(self) -> str:
        """What all the columns mean."""
        own = [f" **{column.title}**: {column.meaning}." for column in self.columns.values() if column.meaning]
        return self.text + "".join(own)


CLASSES = Kind(
    name=catalogue.CLASSES,
    text="""\
Mean ± sample standard deviation over seeds. **Avg**: mean of the stage accuracies; **Last**: accuracy over
all classes after the last task; **Fgt**: forgetting, less is better; **Plast**: plasticity, the accuracy on a task just
learned: who never learned cannot forget. Bold: the best of its method.""",
    picture=ACCURACY_PICTURE,
    heading="Accuracy per stage",
    caption="""\
Accuracy over all classes seen so far, after each task: mean over seeds, band ± one standard deviation. Where
a method and optimizer ran with several settings, the one with the best Avg is drawn.""",
)
DOMAINS = Kind(
    name=catalogue.DOMAINS,
    text="""\
Mean ± sample standard deviation over seeds; losses are held-out (nats a token of text, squared error a pixel of
images). **final**: mean loss over domains after the last stage; **ppl**, **bits/byte**: the same as perplexity, and per
byte; **gain**: how far the loss on a domain fell while it was learned; **Fgt**: how far it then rose above its best;
**BWT**, **FWT**: backward and forward transfer, positive is good; **upstream**: loss on what the model was pretrained
on; **proto**: nearest-prototype accuracy. Bold: the best of its method.""",
    picture=LOSS_PICTURE,
    heading="Loss matrix",
    caption="""\
Held-out loss on each domain (columns) of the pretrained model and after each stage (rows): mean over seeds. Colour:
change since the pretrained model; blue is learned, red is lost. Where a method and optimizer ran with several settings,
the one with the lowest final loss is drawn.""",
)
KINDS = {kind.name: kind for kind in (CLASSES, DOMAINS)}
MEASURES = tuple(dict.fromkeys(name for kind in KINDS.values() for name in kind.columns))
