"""Sweeps whose names are of the kind that breaks formats: markup, commands, formulas, line breaks, emoji, length."""

from __future__ import annotations

import json
from pathlib import Path

from tests.conftest import id_of
from zfscale.records import Eval, Outcome, Status, Step
from zfscale.sinks.about import About
from zfscale.sinks.parquet import ParquetSink

SCRIPT = "<script>window.pwned=1</script>"
NAMES = [
    SCRIPT, "</script><img src=x onerror=window.pwned=1>", "a|b", "two\nlines\u2028three", "`code` **b** [x](y)",
    "n" * 300, "\N{GRINNING FACE} \N{CAT FACE}\N{ZERO WIDTH JOINER}\N{WHITE SMILING FACE}\N{VARIATION SELECTOR-16}",
    "=HYPERLINK(\"x\")", "\\input{/etc/passwd} $x$ 50% #1 a_b ~^{}", "--!><!--", "[x] *", "&lt;b&gt;", "\udcff",
    "${title}",
]  # fmt: skip
URL, SCRIPTED = 'https://wandb.test/runs/"><b>&amp;', "javascript:window.pwned=1"
FOLDER = "<script>window.pwned=1<|script> `x`\n\N{GRINNING FACE} &amp; ${title}"  # no slash is in the name of a folder


def classes(root: Path, seeds: int = 2) -> None:
    """A class-incremental trial of a dataset of each name and a failed one; with curves, matrix and losses."""
    for i, name in enumerate(NAMES):
        stream = {"kind": "class_incremental", "dataset": name, "tasks": 3}
        for optimizer in ("zo-sgd", "fo-sgd"):
            given = {"stream": stream, "method": {"name": "ease"}, "optimizer": {"name": optimizer, "lr": 0.1}}
            for seed in range(seeds):
                _trial(root, given | {"seed": seed}, 0.5 + 0.01 * i + 0.1 * seed + 0.02 * (optimizer == "zo-sgd"))
        said = name.encode(errors="backslashreplace").decode()  # as errors are
        failed = {"stream": stream, "method": {"name": "ease"}, "optimizer": {"name": "zo-adam", "lr": 1.0}, "seed": 0}
        _sink(root, failed).close(Outcome(Status.FAILED, error=f"Traceback\n  {said}\nOpError: {said}", url=SCRIPTED))


def domains(root: Path, seeds: int = 2) -> None:
    """Domain-incremental trials, the domains of which have names of each sort."""
    names = NAMES[:3] + NAMES[5:7]
    stream = {"kind": "domain_incremental", "domains": [{"name": name} for name in names]}
    for seed in range(seeds):
        sink = _sink(
            root,
            {
                "stream": stream,
                "method": {"name": "sequential"},
                "optimizer": {"name": "zo-sgd", "lr": 1},
                "seed": seed,
            },
        )
        for stage in range(len(names) + 1):
            sink.eval(Eval(stage, 0, "stage_loss", 3.0 - 0.1 * stage))
            for task in range(1, len(names) + 1):
                sink.eval(Eval(stage, task, "loss", 3.0 - 0.1 * stage))
        sink.close(
            Outcome(Status.FINISHED, {"final_loss": 2.0 + seed, "learning_gain": 1.0, "forwards": 80, "seconds": 2.0})
        )


def _trial(root: Path, spec: dict[str, object], average: float) -> None:
    sink = _sink(root, spec)
    for stage in (1, 2, 3):
        for step in range(4):
            sink.step(Step(stage, step, 1 / (1 + step), 0.1, 8 * stage + 2 * step - 6, 0.1 * step))
        sink.eval(Eval(stage, 0, "stage_accuracy", average + 0.01 * stage))
        for task in range(1, stage + 1):
            sink.eval(Eval(stage, task, "accuracy", average))
    measures = {"avg_accuracy": average, "last_accuracy": average, "forgetting": 0.1, "forwards": 24, "seconds": 2.0}
    sink.close(Outcome(Status.FINISHED, measures, url=URL))


def _sink(root: Path, spec: dict[str, object]) -> ParquetSink:
    text = json.dumps(spec)
    return ParquetSink(About(root, id_of(text), text))
