"""The command line: which commands there are, and what each of them takes."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from zfscale import __version__
from zfscale.commands import ledgers, machines, results, sweeps

if TYPE_CHECKING:
    from zfscale.spec.sharding import Shard

Add = Callable[..., argparse.ArgumentParser]  # adds a command
RETRY = "--retry-failed"  # its value may be left out


def parse(given: list[str]) -> argparse.Namespace:
    """What a command line says; it ends the program where that is wrong.

    Trials may come after options: argparse takes a list of none for the whole list, and gives back what comes later.
    """
    whole = parser()
    # Without `=`, the option would take FILE for its value.
    args, rest = whole.parse_known_args([f"{RETRY}=" if each == RETRY else each for each in given])
    trials = getattr(args, "trials", None)
    if rest and isinstance(trials, list) and not any(each.startswith("-") for each in rest):
        args.trials = [*trials, *rest]
    elif rest:
        whole.error(f"unrecognized arguments: {' '.join(rest)}")
    return args


def parser() -> argparse.ArgumentParser:
    """The parser of the command line; what it gives has the function of a command as `command`."""
    whole = argparse.ArgumentParser(prog="zfscale", description="Sweeps of continual-learning trials.")
    whole.add_argument("--version", action="version", version=f"zfscale {__version__}")
    add = whole.add_subparsers(title="commands", metavar="COMMAND", required=True).add_parser
    _sweeps(add)
    _results(add)
    _ledgers(add)
    _machines(add)
    return whole


def _sweeps(add: Add) -> None:
    """Commands on a sweep file."""
    command = add("validate", help="check a sweep file", description=sweeps.validate.__doc__)
    _add_sweep_file(command)
    command.add_argument("--data", action="store_true", help="read models and datasets too, as a run would")
    command.set_defaults(command=sweeps.validate)

    command = add("run", help="run a sweep, or what is left of it", description=sweeps.run.__doc__)
    _add_sweep_file(command)
    _add_running(command)
    command.add_argument(
        "--continue-stopped", action="store_true", help="run trials that a scheduler has stopped to their end"
    )
    command.add_argument("--exit-zero", action="store_true", help="exit with 0 in place of 1 if trials failed")
    command.add_argument(
        "--shard", type=shard, metavar="I/N", help="run the I-th of N shares, into results of its own, NAME.IofN"
    )
    command.set_defaults(command=sweeps.run)

    command = add("tune", help="choose a sweep's values, each at one budget", description=sweeps.tune.__doc__)
    _add_sweep_file(command)
    _add_running(command)
    command.add_argument("-o", "--out", required=True, metavar="FILE", help="where to write the tuned sweep file")
    command.set_defaults(command=sweeps.tune)


def _results(add: Add) -> None:
    """Commands on the results of a sweep."""
    command = add("status", help="how a sweep stands", description=results.status.__doc__)
    _add_results(command)
    command.add_argument("--json", action="store_true", help="print one JSON object")
    command.set_defaults(command=results.status)

    command = add("logs", help="what is known of a trial", description=results.logs.__doc__)
    _add_results(command)
    command.add_argument("trial", metavar="TRIAL_ID", help="as `zfscale status` prints it; its first digits will do")
    command.set_defaults(command=results.logs)

    command = add("stop", help="end a sweep's run in good order, or a trial", description=results.stop.__doc__)
    _add_results(command)
    command.add_argument(
        "trial", metavar="TRIAL_ID", nargs="?", help="end this trial alone, after the stage that it is at"
    )
    command.set_defaults(command=results.stop)

    command = add("report", help="remake a report from Parquet", description=results.report.__doc__)
    _add_several_results(command)
    command.add_argument("-o", "--out", metavar="OUT", help="where to write it; default, of one DIR: that directory")
    command.set_defaults(command=results.report)

    command = add("leaderboard", help="rank at equal cost", description=results.leaderboard.__doc__)
    _add_several_results(command)
    command.add_argument(
        "--baseline",
        metavar="NAME",
        help="OPTIMIZER, of the same method, or METHOD/OPTIMIZER; default: the optimizer that most methods have",
    )
    command.add_argument("--markdown", action="store_true", help="print Markdown")
    command.set_defaults(command=results.leaderboard)

    command = add("compact", help="merge the files of many trials", description=results.compact.__doc__)
    _add_results(command)
    command.set_defaults(command=results.compact)

    command = add("sync", help="upload offline W&B runs", description=results.sync.__doc__)
    _add_results(command, places="")
    command.add_argument("--processes", type=count, metavar="N", default=2, help="that upload at a time; default: 2")
    command.set_defaults(command=results.sync)


def _ledgers(add: Add) -> None:
    """Commands on the past of trials, as their ledgers have it."""
    command = add("replay", help="rebuild a trial's model", description=ledgers.replay.__doc__)
    _add_results(command)
    command.add_argument("trial", metavar="TRIAL_ID", help="as in the trials table")
    command.add_argument(
        "--step", type=int, metavar="N", help="after N steps, counted over all tasks; default: the last"
    )
    command.add_argument("-o", "--out", required=True, metavar="OUT", help="directory to write the model to")
    command.set_defaults(command=ledgers.replay)

    command = add("measure", help="measure a trial's past", description=ledgers.measure.__doc__)
    _add_results(command)
    command.add_argument("trials", nargs="+", metavar="TRIAL_ID", help="as in the trials table")
    command.add_argument("--every", type=count, metavar="N", required=True, help="steps from one look to the next")
    command.add_argument(
        "--what",
        type=names,
        metavar="NAMES",
        default=["accuracy", "loss"],
        help="accuracy, loss, drift or module:function of your own, with commas; default: accuracy,loss",
    )
    command.add_argument(
        "--data", metavar="DATA", help="other test data: a stream.dataset, or one more domain, as YAML"
    )
    command.set_defaults(command=ledgers.measure)

    command = add("verify", help="see whether results hold", description=ledgers.verify.__doc__)
    _add_results(command)
    command.add_argument("trials", metavar="TRIAL_ID", nargs="*", help="its first digits will do; default: all")
    command.add_argument(
        "--losses", type=count, metavar="N", default=0, help="measure N steps of each trial again; default: none"
    )
    command.set_defaults(command=ledgers.verify)


def _machines(add: Add) -> None:
    """Commands on nothing of a user's."""
    command = add("base", help="pretrain an embedded model", description=machines.base.__doc__)
    command.add_argument("action", choices=["build", "show"])
    command.add_argument("name", metavar="NAME", help="e.g. vit-mini")
    command.add_argument("--out", metavar="DIR", help="where it is written, or was; the package's own place by default")
    command.set_defaults(command=machines.base)

    _add_bench(add("bench", help="measure this machine", description="Measure this machine."))
    _add_toy(add("toy", help="draw optimizers on a two-task toy", description=machines.toy.__doc__))

    command = add("schema", help="print the JSON Schema", description=sweeps.schema.__doc__)
    command.add_argument("--markdown", action="store_true", help="print tables of the options, in Markdown")
    command.set_defaults(command=sweeps.schema)


def _add_sweep_file(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help="the sweep file (YAML)")
    parser.add_argument(
        "--set",
        dest="overrides",
        metavar="PATH=VALUE",
        action="append",
        default=[],
        help="override a value of the file, e.g. --set optimizer.lr=1e-3 (repeatable)",
    )


def _add_results(parser: argparse.ArgumentParser, places: str = " (path or URL)") -> None:
    parser.add_argument("directory", metavar="DIR", help=f"a sweep's results{places}, e.g. results/vit_classil")


def _add_several_results(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("directories", metavar="DIR", nargs="+", help="a sweep's results (path or URL)")


def _add_running(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--dry-run", action="store_true", help="print trials and forwards; start nothing")
    parser.add_argument(
        RETRY,
        nargs="?",
        metavar="CAUSE",
        type=lambda text: text or True,
        default=False,
        help="run failed trials again as well; with =CAUSE, a part of an error, those that failed for it",
    )
    parser.add_argument(
        "--max-hours", type=hours, metavar="H", help="end after so many hours as Ctrl-C does; the same command resumes"
    )
    parser.add_argument(
        "--address",
        metavar="ADDRESS",
        default="local",
        help="a running Ray cluster: auto, HOST:PORT or ray://HOST:PORT; default: a new one on this machine",
    )


def _add_bench(parser: argparse.ArgumentParser) -> None:
    benchmarks = parser.add_subparsers(title="benchmarks", metavar="WHAT", required=True)
    command = benchmarks.add_parser("sweep", help="what a sweep takes", description=machines.bench_sweep.__doc__)
    command.add_argument("--trials", type=count, metavar="N", default=400, help="of each contestant; default: 400")
    command.add_argument("--json", action="store_true", help="print one JSON object in place of the table")
    command.set_defaults(command=machines.bench_sweep)
    command = benchmarks.add_parser("cluster", help="what a driver bears", description=machines.bench_cluster.__doc__)
    command.add_argument(
        "--workers", type=count, metavar="N", default=32, help="trials that sleep at a time; default: 32"
    )
    command.add_argument("--trials", type=count, metavar="N", default=600, help="of most cases; default: 600")
    command.add_argument("--nodes", type=count, metavar="N", default=1, help="that share the workers; default: 1")
    command.add_argument("--json", action="store_true", help="print one JSON object in place of the table")
    command.set_defaults(command=machines.bench_cluster)
    command = benchmarks.add_parser("sinks", help="what sinks take", description=machines.bench_sinks.__doc__)
    command.add_argument("--steps", type=count, metavar="N", default=10**6, help="of the trial; default: 1000000")
    command.add_argument(
        "--sink", dest="sinks", action="append", default=[], metavar="NAME", help="(repeatable); default: all but W&B"
    )
    command.add_argument("--json", action="store_true", help="print one JSON object in place of the table")
    command.set_defaults(command=machines.bench_sinks)
    command = benchmarks.add_parser("step", help="time and memory of one step", description=machines.bench_step.__doc__)
    add = command.add_argument
    add("--model", metavar="NAME", help="vit-b16 (default; random weights), embedded/vit-nano, a directory or hub id")
    add("--trained", metavar="WHAT", help="all (default) parameters; adapter: as EASE; copy: as MEMO's later tasks")
    add("--bottleneck", type=int, metavar="N", help="of the adapter; default: 64")
    add("--copies", type=int, metavar="N", help="of the last block, the newest of which is trained; default: 1")
    add("--batch-size", type=int, metavar="N", help="default: 8")
    add("--precision", metavar="NAME", help="fp32 (default), bf16-mixed or bf16; the peers' is always fp32")
    add("--noise", metavar="NAME", help="rademacher (default) or gaussian")
    add("--optimizer", metavar="NAME", help="default: zo-sgd")
    add("--momentum", type=float, metavar="X", help="default: 0")
    add("--queries", type=int, metavar="N", help="directions a step; default: 1")
    add("--sides", type=int, metavar="N", help="1 or 2 (default)")
    add("--repeats", type=int, metavar="N", help="rounds that count, after one that does not; default: 7")
    add("--threads", type=int, metavar="N", help="default: torch's own choice, all cores")
    add(
        "--against", action="append", metavar="PEER", help="infty or mezo (repeatable); default: all that are installed"
    )
    add("--json", action="store_true", help="print one JSON object in place of the table")
    command.set_defaults(command=machines.bench_step)


def _add_toy(parser: argparse.ArgumentParser) -> None:
    def several(name: str, **settings: Any) -> None:
        parser.add_argument(f"--{name}", dest=f"{name}s", action="append", default=[], **settings)

    parser.add_argument("--out", metavar="DIR", default="results/toy", help="where to write; default: results/toy")
    several(
        "optimizer",
        metavar="NAME",
        help="of the catalogue, or enhanced: zo-sgd+hybrid, +history, +sparse, or several of them (repeatable); "
        "default: all, and zo-sgd with each enhancement",
    )
    several("start", choices=["A", "B"], help="A is (-8.5, -5), B (-4, 5) (repeatable); default: both")
    parser.add_argument("--steps", type=count, metavar="N", default=1000, help="of each optimizer; default: 1000")
    parser.add_argument("--seed", type=int, metavar="N", default=0, help="of all directions; default: 0")
    parser.set_defaults(command=machines.toy)


def hours(text: str) -> float:
    """A number above 0, or argparse's error."""
    if not (given := float(text)) > 0:
        raise argparse.ArgumentTypeError(f"expected a number > 0, got {text}")
    return given


def shard(text: str) -> Shard:
    """A share, or argparse's error."""
    from zfscale.spec.sharding import Shard

    try:
        return Shard.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def names(text: str) -> list[str]:
    """Distinct names, with commas between them, or argparse's error."""
    if found := list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip())):
        return found
    raise argparse.ArgumentTypeError(f"expected names, got {text!r}")


def count(text: str) -> int:
    """An integer of at least 1, or argparse's error."""
    if (given := int(text)) < 1:
        raise argparse.ArgumentTypeError(f"expected an integer >= 1, got {text}")
    return given
