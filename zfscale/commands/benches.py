"""Commands that measure this machine."""

from __future__ import annotations

import argparse

from zfscale.commands.given import Add, count


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


def bench_cluster(args: argparse.Namespace) -> int:
    """Reckon how many GPUs one driver keeps busy, from trials that sleep on a simulated cluster."""
    from zfscale.bench.cluster import report

    print(report(args.workers, args.trials, args.nodes, args.json))
    return 0


def bench_crowd(args: argparse.Namespace) -> int:
    """See what one driver takes for a trial as up to thousands of them, which sleep, run at a time."""
    from zfscale.bench.crowd import report

    print(report(args.workers, args.trials, args.json))
    return 0


def bench_sinks(args: argparse.Namespace) -> int:
    """Time each sink, and look at the memory it takes in one long trial."""
    from zfscale.bench.sinks import report

    print(report(args.steps, args.sinks, args.json))
    return 0


def add_to(add: Add) -> None:
    """What each of these commands takes."""
    parser = add("bench", help="measure this machine", description="Measure this machine.")
    benchmarks = parser.add_subparsers(title="benchmarks", metavar="WHAT", required=True)
    command = benchmarks.add_parser("sweep", help="what a sweep takes", description=bench_sweep.__doc__)
    command.add_argument("--trials", type=count, metavar="N", default=400, help="of each contestant; default: 400")
    command.add_argument("--json", action="store_true", help="print one JSON object in place of the table")
    command.set_defaults(command=bench_sweep)
    command = benchmarks.add_parser("cluster", help="what a driver bears", description=bench_cluster.__doc__)
    command.add_argument(
        "--workers", type=count, metavar="N", default=32, help="trials that sleep at a time; default: 32"
    )
    command.add_argument("--trials", type=count, metavar="N", default=600, help="of most cases; default: 600")
    command.add_argument("--nodes", type=count, metavar="N", default=1, help="that share the workers; default: 1")
    command.add_argument("--json", action="store_true", help="print one JSON object in place of the table")
    command.set_defaults(command=bench_cluster)
    command = benchmarks.add_parser("crowd", help="as more run at a time", description=bench_crowd.__doc__)
    command.add_argument(
        "--workers", type=count, metavar="N", default=1024, help="trials at a time, in the last case; default: 1024"
    )
    command.add_argument("--trials", type=count, metavar="N", default=1000, help="of each case; default: 1000")
    command.add_argument("--json", action="store_true", help="print one JSON object in place of the table")
    command.set_defaults(command=bench_crowd)
    command = benchmarks.add_parser("sinks", help="what sinks take", description=bench_sinks.__doc__)
    command.add_argument("--steps", type=count, metavar="N", default=10**6, help="of the trial; default: 1000000")
    command.add_argument(
        "--sink", dest="sinks", action="append", default=[], metavar="NAME", help="(repeatable); default: all but W&B"
    )
    command.add_argument("--json", action="store_true", help="print one JSON object in place of the table")
    command.set_defaults(command=bench_sinks)
    command = benchmarks.add_parser("step", help="time and memory of one step", description=bench_step.__doc__)
    option = command.add_argument
    option(
        "--model", metavar="NAME", help="vit-b16 (default; random weights), embedded/vit-nano, a directory or hub id"
    )
    option("--trained", metavar="WHAT", help="all (default) parameters; adapter: as EASE; copy: as MEMO's later tasks")
    option("--bottleneck", type=int, metavar="N", help="of the adapter; default: 64")
    option("--copies", type=int, metavar="N", help="of the last block, the newest of which is trained; default: 1")
    option("--batch-size", type=int, metavar="N", help="default: 8")
    option("--precision", metavar="NAME", help="fp32 (default), bf16-mixed or bf16; the peers' is always fp32")
    option("--noise", metavar="NAME", help="rademacher (default) or gaussian")
    option("--optimizer", metavar="NAME", help="default: zo-sgd")
    option("--momentum", type=float, metavar="X", help="default: 0")
    option("--queries", type=int, metavar="N", help="directions a step; default: 1")
    option("--sides", type=int, metavar="N", help="1 or 2 (default)")
    option("--repeats", type=int, metavar="N", help="rounds that count, after one that does not; default: 7")
    option("--threads", type=int, metavar="N", help="default: torch's own choice, all cores")
    option(
        "--against", action="append", metavar="PEER", help="infty or mezo (repeatable); default: all that are installed"
    )
    option("--json", action="store_true", help="print one JSON object in place of the table")
    command.set_defaults(command=bench_step)
