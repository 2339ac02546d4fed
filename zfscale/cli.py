"""The commands, and no logic: each is one small function that imports what it needs when it runs."""

from __future__ import annotations

import argparse
import io
import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zfscale import __version__
from zfscale.errors import ZfscaleError, nearest
from zfscale.results.redact import Redacted, redact

if TYPE_CHECKING:
    from zfscale.sweep.ending import Ended


RETRY = "--retry-failed"  # its value may be left out


def validate(args: argparse.Namespace) -> int:
    """Check a sweep file and count its trials; nothing is started. --data reads its models and datasets as well."""
    from zfscale import spec

    sweep = spec.load(args.file, args.overrides)
    if args.data:
        from zfscale.trial.inputs import read

        read(sweep, sweep.trials)
    count = len(sweep.trials)
    print(f"{args.file}: ok, {count} trial{'' if count == 1 else 's'}{', models and data read' * args.data}")
    return 0


def schema(args: argparse.Namespace) -> int:
    """Print the JSON Schema of a sweep file, or with --markdown the tables of its options."""
    import json

    from zfscale import spec

    if args.markdown:
        from zfscale.spec.tables import markdown

        print(markdown())
        return 0
    print(json.dumps(spec.json_schema(), indent=2))
    return 0


def run(args: argparse.Namespace) -> int:
    """Finish every trial of the file that is not finished, then print and write the report.

    Exit status: 0 if every trial finished, 1 if all ended and some failed, 2 if the input was wrong, 130 if trials are
    left, after an interrupt or where results could not be written: the same command goes on.
    """
    from zfscale import spec

    sweep = spec.load(args.file, args.overrides)
    if args.dry_run:
        from zfscale.sweep.dry_run import describe

        print(describe(sweep, args.retry_failed, args.continue_stopped))
        return 0
    from zfscale.sweep.launch import run as run_sweep

    ended = run_sweep(sweep, continue_stopped=args.continue_stopped, **_running(args))
    if _unfinished(ended, len(sweep.trials)):
        return 130
    print(ended.report)
    return 1 if _failed(ended, len(sweep.trials)) and not args.exit_zero else 0


def _running(args: argparse.Namespace) -> dict[str, Any]:
    """What `run` and `tune` have in common."""
    return {"retry_failed": args.retry_failed, "address": args.address, "max_hours": args.max_hours}


def _unfinished(ended: Ended, trials: int) -> bool:
    """Whether trials are left, which is told."""
    if ended.left:
        print(f"unfinished: {ended.left} of {trials} trials left; run the same command to go on", file=sys.stderr)
    return bool(ended.left)


def _failed(ended: Ended, trials: int) -> bool:
    """Whether trials failed, which is told."""
    if ended.failed:
        print(f"failed: {ended.failed} of {trials} trials; --retry-failed runs them again", file=sys.stderr)
    return bool(ended.failed)


def tune(args: argparse.Namespace) -> int:
    """Search for the values that `search.space` names, on held-out training images, at one budget for every optimizer.

    Writes the file with the chosen values. The search is a sweep of its own, results/NAME-tune, which the same command
    resumes. Exit status as of `run`; a candidate with a trial that failed is not chosen.
    """
    from zfscale import spec, tuning

    sweep = spec.load(args.file, args.overrides)
    out, plan = tuning.target(sweep, args.out), tuning.plan(sweep)
    if args.dry_run:
        print(plan)
        return 0
    print(plan, file=sys.stderr)
    from zfscale.sweep.launch import run as run_sweep

    ended = run_sweep(plan.sweep, **_running(args))
    if _unfinished(ended, len(plan.sweep.trials)):
        return 130
    print(ended.report)
    chosen = tuning.chosen(plan)
    for warning in filter(None, (each.warning for each in chosen)):
        print(f"warning: {warning}", file=sys.stderr)
    tuning.write(sweep, chosen, out)
    print(f"tuned: {out}")
    return int(_failed(ended, len(plan.sweep.trials)))


def status(args: argparse.Namespace) -> int:
    """Say how a sweep stands, while it runs or after: what ended, runs and failed, how fast, and until when."""
    from zfscale.watch.standing import standing
    from zfscale.watch.status import shown

    now = standing(args.directory)
    print(now.as_json() if args.json else shown(now))
    return 0


def logs(args: argparse.Namespace) -> int:
    """Say what is known of one trial: how it stands, where it ran, its last steps, measures, spec and error."""
    from zfscale.watch.logs import logs as known

    print(known(args.directory, args.trial))
    return 0


def stop(args: argparse.Namespace) -> int:
    """Ask the run that writes to a results directory to end in good order, and wait until it has."""
    from zfscale.watch.stop import stop as ask

    print(ask(args.directory))
    return 0


def report(args: argparse.Namespace) -> int:
    """Make the table, report.md and the plot again, from the Parquet files of a results directory."""
    from zfscale.report import make
    from zfscale.report.text import printable

    text, file = make(args.directory)
    print(printable(f"{text}\nreport: {file}", sys.stdout.encoding))
    return 0


def sync(args: argparse.Namespace) -> int:
    """Upload the offline W&B runs of a sweep; the same command goes on where it was stopped, and sends no run twice.

    Exit status: 0 if every run of a trial that has ended is uploaded, 1 if some failed, 2 if there are no runs, or no
    API key that W&B takes.
    """
    from zfscale.sinks.wandb_sync import sync as upload

    told = upload(args.directory, args.processes)
    print(redact(str(told)))
    return int(bool(told.failed))


def replay(args: argparse.Namespace) -> int:
    """Write the model of a finished forward-only trial, at any step, as a from_pretrained directory."""
    from zfscale.trial.replay import replay as rebuild

    steps = rebuild(args.directory, args.trial, Path(args.out), args.step)
    print(f"{args.out}: trial {args.trial} after {steps} steps")
    return 0


def base(args: argparse.Namespace) -> int:
    """Pretrain an embedded base model and write it into the package (or --out), or show what is known of one."""
    from zfscale import registry
    from zfscale.pretraining import catalogue

    if args.action == "show":
        print(catalogue.shown(args.name, Path(args.out) if args.out else None))
        return 0
    if args.name not in catalogue.BUILDERS:
        raise ZfscaleError(f"base model {args.name!r}: unknown; {nearest(args.name, catalogue.BUILDERS)}")
    build = registry.load(catalogue.BUILDERS[args.name])
    print(catalogue.table(build(**({"out": Path(args.out)} if args.out else {}))))
    return 0


def toy(args: argparse.Namespace) -> int:
    """Draw the trajectories of optimizers on ZeroFlow's two-task toy (its Figures 3, 4, 10); takes two minutes."""
    from zfscale.toy import make

    print(make(args.out, args.optimizers, args.starts, args.steps, args.seed))
    print(f"figures and trajectories.parquet: {args.out}")
    return 0


def bench_step(args: argparse.Namespace) -> int:
    """Time a zeroth-order step of all of a model against its bare forwards and other implementations."""
    import torch

    from zfscale.bench.settings import Settings
    from zfscale.bench.step import report

    names = (
        "model",
        "trained",
        "bottleneck",
        "copies",
        "batch_size",
        "precision",
        "noise",
        "optimizer",
        "momentum",
        "queries",
        "sides",
        "repeats",
    )
    threads = torch.get_num_threads() if args.threads is None else args.threads
    given = {name: value for name in names if (value := getattr(args, name)) is not None}
    print(report(Settings(**given, threads=threads, against=args.against and tuple(args.against)), args.json))
    return 0


def bench_sweep(args: argparse.Namespace) -> int:
    """Time a sweep of nearly free trials beside Ray Tune alone, and look at its memory and its files."""
    from zfscale.bench.sweeps import report

    print(report(args.trials, args.json))
    return 0


def bench_sinks(args: argparse.Namespace) -> int:
    """Time each sink, and look at the memory it takes in one long trial."""
    from zfscale.bench.sinks import report

    print(report(args.steps, args.sinks, args.json))
    return 0


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
        "--max-hours", type=_hours, metavar="H", help="end after so many hours as Ctrl-C does; the same command resumes"
    )
    parser.add_argument(
        "--address",
        metavar="ADDRESS",
        default="local",
        help="a running Ray cluster: auto, HOST:PORT or ray://HOST:PORT; default: a new one on this machine",
    )


def _add_bench(parser: argparse.ArgumentParser) -> None:
    benchmarks = parser.add_subparsers(title="benchmarks", metavar="WHAT", required=True)
    command = benchmarks.add_parser("sweep", help="what a sweep takes", description=bench_sweep.__doc__)
    command.add_argument("--trials", type=_count, metavar="N", default=400, help="of each contestant; default: 400")
    command.add_argument("--json", action="store_true", help="print one JSON object in place of the table")
    command.set_defaults(command=bench_sweep)
    command = benchmarks.add_parser("sinks", help="what sinks take", description=bench_sinks.__doc__)
    command.add_argument("--steps", type=_count, metavar="N", default=10**6, help="of the trial; default: 1000000")
    command.add_argument(
        "--sink", dest="sinks", action="append", default=[], metavar="NAME", help="(repeatable); default: all but W&B"
    )
    command.add_argument("--json", action="store_true", help="print one JSON object in place of the table")
    command.set_defaults(command=bench_sinks)
    command = benchmarks.add_parser("step", help="time and memory of one step", description=bench_step.__doc__)
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
    command.set_defaults(command=bench_step)


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
    parser.add_argument("--steps", type=_count, metavar="N", default=1000, help="of each optimizer; default: 1000")
    parser.add_argument("--seed", type=int, metavar="N", default=0, help="of all directions; default: 0")
    parser.set_defaults(command=toy)


def _hours(text: str) -> float:
    """A number above 0, or argparse's error."""
    if not (hours := float(text)) > 0:
        raise argparse.ArgumentTypeError(f"expected a number > 0, got {text}")
    return hours


def _count(text: str) -> int:
    """An integer of at least 1, or argparse's error."""
    if (count := int(text)) < 1:
        raise argparse.ArgumentTypeError(f"expected an integer >= 1, got {text}")
    return count


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="zfscale", description="Sweeps of continual-learning trials.")
    parser.add_argument("--version", action="version", version=f"zfscale {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    command = commands.add_parser("validate", help="check a sweep file", description=validate.__doc__)
    _add_sweep_file(command)
    command.add_argument("--data", action="store_true", help="read models and datasets too, as a run would")
    command.set_defaults(command=validate)

    command = commands.add_parser("run", help="run a sweep, or what is left of it", description=run.__doc__)
    _add_sweep_file(command)
    _add_running(command)
    command.add_argument(
        "--continue-stopped", action="store_true", help="run trials that a scheduler has stopped to their end"
    )
    command.add_argument("--exit-zero", action="store_true", help="exit with 0 in place of 1 if trials failed")
    command.set_defaults(command=run)

    command = commands.add_parser("tune", help="choose a sweep's values, each at one budget", description=tune.__doc__)
    _add_sweep_file(command)
    _add_running(command)
    command.add_argument("-o", "--out", required=True, metavar="FILE", help="where to write the tuned sweep file")
    command.set_defaults(command=tune)

    command = commands.add_parser("status", help="how a sweep stands", description=status.__doc__)
    command.add_argument("directory", metavar="DIR", help="a sweep's results (path or URL), e.g. results/vit_classil")
    command.add_argument("--json", action="store_true", help="print one JSON object")
    command.set_defaults(command=status)

    command = commands.add_parser("logs", help="what is known of a trial", description=logs.__doc__)
    command.add_argument("directory", metavar="DIR", help="a sweep's results (path or URL), e.g. results/vit_classil")
    command.add_argument("trial", metavar="TRIAL_ID", help="as `zfscale status` prints it; its first digits will do")
    command.set_defaults(command=logs)

    command = commands.add_parser("stop", help="end a sweep's run in good order", description=stop.__doc__)
    command.add_argument("directory", metavar="DIR", help="a sweep's results (path or URL), e.g. results/vit_classil")
    command.set_defaults(command=stop)

    command = commands.add_parser("report", help="remake a report from Parquet", description=report.__doc__)
    command.add_argument("directory", metavar="DIR", help="a sweep's results (path or URL), e.g. results/vit_classil")
    command.set_defaults(command=report)

    command = commands.add_parser("sync", help="upload offline W&B runs", description=sync.__doc__)
    command.add_argument("directory", metavar="DIR", help="a sweep's results, e.g. results/vit_classil")
    command.add_argument("--processes", type=_count, metavar="N", default=2, help="that upload at a time; default: 2")
    command.set_defaults(command=sync)

    command = commands.add_parser("replay", help="rebuild a trial's model", description=replay.__doc__)
    command.add_argument("directory", metavar="RESULTS_DIR", help="a sweep's results, e.g. results/vit_classil")
    command.add_argument("trial", metavar="TRIAL_ID", help="as in the trials table")
    command.add_argument(
        "--step", type=int, metavar="N", help="after N steps, counted over all tasks; default: the last"
    )
    command.add_argument("-o", "--out", required=True, metavar="DIR", help="where to write the model")
    command.set_defaults(command=replay)

    command = commands.add_parser("base", help="pretrain an embedded model", description=base.__doc__)
    command.add_argument("action", choices=["build", "show"])
    command.add_argument("name", metavar="NAME", help="e.g. vit-mini")
    command.add_argument("--out", metavar="DIR", help="where it is written, or was; the package's own place by default")
    command.set_defaults(command=base)

    _add_bench(commands.add_parser("bench", help="measure this machine", description="Measure this machine."))

    _add_toy(commands.add_parser("toy", help="draw optimizers on a two-task toy", description=toy.__doc__))

    command = commands.add_parser("schema", help="print the JSON Schema", description=schema.__doc__)
    command.add_argument("--markdown", action="store_true", help="print tables of the options, in Markdown")
    command.set_defaults(command=schema)
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run one command; the exit code is 2 where the input was wrong."""
    given = sys.argv[1:] if argv is None else argv
    args = _parser().parse_args([f"{RETRY}=" if each == RETRY else each for each in given])  # or it takes FILE for one
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a terminal of ASCII, a path that is not UTF-8
    if logging.lastResort is not None:  # prints the warnings of a program that configures no logging
        logging.lastResort.setFormatter(Redacted())
    try:
        return int(args.command(args))
    except ZfscaleError as error:
        print(redact(str(error)), file=sys.stderr)
        return 2
    except BrokenPipeError:  # the reader of our output, `head` say, has seen enough
        sys.stdout = None
        return 0
    except OSError as error:
        print(redact(f"{error.filename}: {error.strerror}" if error.filename else str(error)), file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
