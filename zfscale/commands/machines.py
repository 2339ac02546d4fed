"""Commands on nothing of a user's: models, and a toy."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from zfscale.commands.given import Add, count
from zfscale.errors import ZfscaleError, nearest


def base(args: argparse.Namespace) -> int:
    """Pretrain an embedded base model and write it into the package (or --out), or show what is known of one."""
    from zfscale import registry
    from zfscale.pretraining import catalogue

    name = args.name.removeprefix("embedded/")  # as a sweep file has it, too
    if args.action == "show":
        print(catalogue.shown(name, Path(args.out) if args.out else None))
        return 0
    if name not in catalogue.BUILDERS:
        raise ZfscaleError(f"base model {name!r}: unknown; {nearest(name, catalogue.BUILDERS)}")
    build = registry.load(catalogue.BUILDERS[name])
    print(catalogue.table(build(**({"out": Path(args.out)} if args.out else {}))))
    return 0


def toy(args: argparse.Namespace) -> int:
    """Draw the trajectories of optimizers on ZeroFlow's two-task toy (its Figures 3, 4, 10); takes two minutes."""
    from zfscale.toy import make

    print(make(args.out, args.optimizers, args.starts, args.steps, args.seed))
    print(f"figures and trajectories.parquet: {args.out}")
    return 0


def add_to(add: Add) -> None:
    """What each of these commands takes."""
    command = add("base", help="pretrain an embedded model", description=base.__doc__)
    command.add_argument("action", choices=["build", "show"])
    command.add_argument("name", metavar="NAME", help="e.g. vit-mini")
    command.add_argument("--out", metavar="DIR", help="where it is written, or was; the package's own place by default")
    command.set_defaults(command=base)

    _add_toy(add("toy", help="draw optimizers on a two-task toy", description=toy.__doc__))


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
    parser.set_defaults(command=toy)
