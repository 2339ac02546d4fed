"""What the report of each kind of stream shows: columns, words, picture."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

COST: dict[str, tuple[str, float, int]] = {
    "forwards": ("forwards", 1, 0),
    "seconds": ("seconds", 1, 1),
    "peak_memory_bytes": ("peak MiB", 2**-20, 1),
}


@dataclass(frozen=True)
class Kind:
    """`columns`: measure -> title, factor to its unit, decimals. `leaders`: measure in bold -> which value is best.

    `first` is the measure by which the best setting of a method and optimizer is chosen, with the same meaning.
    """

    columns: dict[str, tuple[str, float, int]]
    leaders: dict[str, Callable[..., float]]
    first: str
    legend: str
    picture: str  # file name
    heading: str
    caption: str
    optional: tuple[str, ...] = ()  # columns that are left out where no row has them


CLASSES = Kind(
    columns={
        "avg_accuracy": ("Avg %", 100, 2),
        "last_accuracy": ("Last %", 100, 2),
        "forgetting": ("Fgt %", 100, 2),
        **COST,
    },
    leaders={"avg_accuracy": max, "last_accuracy": max},
    first="avg_accuracy",
    legend="""\
Mean ± sample standard deviation over seeds. **Avg**: mean of the stage accuracies; **Last**: accuracy over
all classes after the last task; **Fgt**: forgetting, less is better. Bold: the best of its method.""",
    picture="accuracy_per_stage.png",
    heading="Accuracy per stage",
    caption="""\
Accuracy over all classes seen so far, after each task: mean over seeds, band ± one standard deviation. Where
a method and optimizer ran with several settings, the one with the best Avg is drawn.""",
)
DOMAINS = Kind(
    columns={
        "final_loss": ("final", 1, 4),
        "perplexity": ("ppl", 1, 3),
        "bits_per_byte": ("bits/byte", 1, 3),
        "learning_gain": ("gain", 1, 4),
        "forgetting": ("Fgt", 1, 4),
        "bwt": ("BWT", 1, 4),
        "fwt": ("FWT", 1, 4),
        "upstream_loss": ("upstream", 1, 4),
        "last_accuracy": ("proto %", 100, 2),
        "tokens": ("tokens", 1, 0),
        **COST,
    },
    leaders={"final_loss": min, "learning_gain": max, "forgetting": min, "upstream_loss": min},
    first="final_loss",
    legend="""\
Mean ± sample standard deviation over seeds; losses are held-out (nats a token of text, squared error a pixel of
images). **final**: mean loss over domains after the last stage; **ppl**, **bits/byte**: the same as perplexity, and per
byte; **gain**: how far the loss on a domain fell while it was learned; **Fgt**: how far it then rose above its best;
**BWT**, **FWT**: backward and forward transfer, positive is good; **upstream**: loss on what the model was pretrained
on; **proto**: nearest-prototype accuracy. Bold: the best of its method.""",
    picture="loss_matrix.png",
    heading="Loss matrix",
    caption="""\
Held-out loss on each domain (columns) of the pretrained model and after each stage (rows): mean over seeds. Colour:
change since the pretrained model; blue is learned, red is lost. Where a method and optimizer ran with several settings,
the one with the lowest final loss is drawn.""",
    optional=("perplexity", "bits_per_byte", "upstream_loss", "last_accuracy", "tokens"),
)
KINDS = {"class_incremental": CLASSES, "domain_incremental": DOMAINS}
MEASURES = tuple(dict.fromkeys([*CLASSES.columns, *DOMAINS.columns]))
