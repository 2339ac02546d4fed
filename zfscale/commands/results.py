"""Commands on the results of a sweep, or of several."""

from __future__ import annotations

import argparse
import sys

from zfscale.commands.given import Add, add_results, add_several_results, count
from zfscale.errors import ZfscaleError
from zfscale.results.redact import redact


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
    """Ask the run that writes to a results directory to end in good order, or one of its trials; and wait for it."""
    from zfscale.watch.stop import stop as ask
    from zfscale.watch.stop import stop_trial

    print(stop_trial(args.directory, args.trial) if args.trial else ask(args.directory))
    return 0


def report(args: argparse.Namespace) -> int:
    """Make the report again, from Parquet files: report.md, report.html, plots, and each table as CSV and LaTeX.

    That of one sweep is written beside its results; several together, or one elsewhere, need --out.
    """
    from zfscale.report import combine, make
    from zfscale.report.text import printable
    from zfscale.results.layout import PAGE
    from zfscale.results.storage import storage

    if len(args.directories) > 1 and args.out is None:
        raise ZfscaleError("the report of several sweeps is no one's own: say with --out DIR where to write it")
    text, file = combine(args.directories, args.out) if args.out else make(args.directories[0])
    page = f"{storage(args.out or args.directories[0])}/{PAGE}"
    print(printable(f"{text}\npage: {page}\nreport: {file}", sys.stdout.encoding))
    return 0


def leaderboard(args: argparse.Namespace) -> int:
    """Rank optimizers within each method at equal forwards and at equal seconds, with paired differences.

    Whatever is compared took the same cost within a tenth. A row is verified where `zfscale verify` has left a
    certificate that holds for each of its trials.
    """
    from zfscale.report import leaders
    from zfscale.report.text import printable

    print(printable(leaders(args.directories, args.baseline, args.markdown), sys.stdout.encoding))
    return 0


def compact(args: argparse.Namespace) -> int:
    """Merge the files of the trials that have ended into files of many trials, about 64 MB each.

    A run of many trials does so at its end. Whatever is read, run again or replayed is as before.
    """
    from zfscale.results.compact import compact as merge
    from zfscale.results.lock import held
    from zfscale.watch.standing import results_of

    there = results_of(args.directory)
    with held(there):
        print(f"{there}: {merge(there)}")
    return 0


def sync(args: argparse.Namespace) -> int:
    """Upload the W&B runs of a sweep that are not there: made offline, or online while the server was away.

    The same command goes on where it was stopped, and sends no run twice.

    Exit status: 0 if every run of a trial that has ended is uploaded, 1 if some failed, 2 if there are no runs, or no
    API key that W&B takes.
    """
    from zfscale.sinks.wandb_sync import sync as upload

    told = upload(args.directory, args.processes)
    print(redact(str(told)))
    return int(bool(told.failed))


def add_to(add: Add) -> None:
    """What each of these commands takes."""
    command = add("status", help="how a sweep stands", description=status.__doc__)
    add_results(command)
    command.add_argument("--json", action="store_true", help="print one JSON object")
    command.set_defaults(command=status)

    command = add("logs", help="what is known of a trial", description=logs.__doc__)
    add_results(command)
    command.add_argument("trial", metavar="TRIAL_ID", help="as `zfscale status` prints it; its first digits will do")
    command.set_defaults(command=logs)

    command = add("stop", help="end a sweep's run in good order, or a trial", description=stop.__doc__)
    add_results(command)
    command.add_argument(
        "trial", metavar="TRIAL_ID", nargs="?", help="end this trial alone, after the stage that it is at"
    )
    command.set_defaults(command=stop)

    command = add("report", help="remake a report from Parquet", description=report.__doc__)
    add_several_results(command)
    command.add_argument("-o", "--out", metavar="OUT", help="where to write it; default, of one DIR: that directory")
    command.set_defaults(command=report)

    command = add("leaderboard", help="rank at equal cost", description=leaderboard.__doc__)
    add_several_results(command)
    command.add_argument(
        "--baseline",
        metavar="NAME",
        help="OPTIMIZER, of the same method, or METHOD/OPTIMIZER; default: the optimizer that most methods have",
    )
    command.add_argument("--markdown", action="store_true", help="print Markdown")
    command.set_defaults(command=leaderboard)

    command = add("compact", help="merge the files of many trials", description=compact.__doc__)
    add_results(command)
    command.set_defaults(command=compact)

    command = add("sync", help="upload W&B runs", description=sync.__doc__)
    add_results(command, places="")
    command.add_argument("--processes", type=count, metavar="N", default=2, help="that upload at a time; default: 2")
    command.set_defaults(command=sync)
