"""Commands on nothing of a user's: models, toys, benchmarks."""

from __future__ import annotations

import argparse
from pathlib import Path

from zfscale.errors import ZfscaleError, nearest


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


def bench_cluster(args: argparse.Namespace) -> int:
    """Reckon how many GPUs one driver keeps busy, from trials that sleep on a simulated cluster."""
    from zfscale.bench.cluster import report

    print(report(args.workers, args.trials, args.nodes, args.json))
    return 0


def bench_sinks(args: argparse.Namespace) -> int:
    """Time each sink, and look at the memory it takes in one long trial."""
    from zfscale.bench.sinks import report

    print(report(args.steps, args.sinks, args.json))
    return 0
