"""A workspace of W&B for one sweep: its runs, grouped by method and optimizer, and panels of what they log.

The view's URL is kept with the results, so that saving it again sets the same view back to what is here.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

from zfscale.errors import ZfscaleError, one_line
from zfscale.metrics.catalogue import BY_NAME, FORWARDS, STAGED, columns
from zfscale.results.layout import PAGE, PICTURES, WORKSPACE
from zfscale.results.missing import root
from zfscale.sinks.wandb import LOSS, LR, STAGE, STEP, table_of
from zfscale.sinks.wandb_start import sign_in
from zfscale.sinks.wandb_sweep import AXIS, COUNTS, best_of
from zfscale.spec import Sweep

EXTRA = "pip install 'zfscale[workspace]'"


def save(sweep: Sweep) -> str:
    """Save the workspace in the project of the sweep file, and return its URL.

    Raises:
        ZfscaleError: The file switches W&B off, the package is not installed, there is no API key that W&B takes, or
            the server refuses.
    """
    if sweep.spec.output.wandb.mode == "disabled":
        raise ZfscaleError(f"{sweep.path}: output.wandb.mode is disabled, so that W&B has no runs to show")
    try:
        import wandb_workspaces.workspaces as ws
    except ModuleNotFoundError as error:
        raise ZfscaleError(f"a workspace of W&B needs the package wandb-workspaces: {EXTRA}") from error
    import wandb
    from wandb.sdk.lib.service.service_connection import WandbApiFailedError

    sign_in()
    try:
        wandb.setup(wandb.Settings(silent=True))
        api = wandb.Api()
        url = _saved(sweep, ws, api.settings["entity"] or api.default_entity or "")
    except (wandb.errors.Error, WandbApiFailedError) as error:
        project = sweep.spec.output.wandb.project
        raise ZfscaleError(f"W&B did not save a workspace in project {project!r}: {one_line(error)}") from error
    finally:
        wandb.teardown()
    root(sweep).write(WORKSPACE, url.encode())
    return url


def _saved(sweep: Sweep, ws: Any, entity: str) -> str:
    view = _earlier(sweep, ws, entity) or ws.Workspace(entity, sweep.spec.output.wandb.project)
    view.name, view.sections, view.runset_settings = sweep.spec.name, sections(sweep), runs(sweep)
    return str(view.save().url)


def _earlier(sweep: Sweep, ws: Any, entity: str) -> Any:
    """The view that was saved before, unless it is gone, is of another project, or cannot be read."""
    if not (url := root(sweep).read(WORKSPACE)):
        return None
    with suppress(ValueError):
        view = ws.Workspace.from_url(url.decode())
        if (view.entity, view.project) == (entity, sweep.spec.output.wandb.project):
            return view
    return None


def runs(sweep: Sweep) -> Any:
    """Which runs are listed, and how: those of the sweep, its own included, by method and optimizer."""
    import wandb_workspaces.workspaces as ws

    mine = [ws.Metric("Group") == sweep.spec.name]
    return ws.RunsetSettings(filters=mine, groupby=[ws.Config("method.name"), ws.Config("optimizer.name")])


def sections(sweep: Sweep) -> list[Any]:
    """The panels: training, what is measured after stages and at the end, matrices, and the sweep's own run."""
    import wandb_workspaces.reports.v2 as wr
    import wandb_workspaces.workspaces as ws

    kinds = list(dict.fromkeys(trial.stream.protocol for trial in sweep.outline))
    measures = list(dict.fromkeys(name for kind in kinds for name in columns(kind)))
    curves = [STAGED[kind].curve for kind in kinds] + [name for name in measures if BY_NAME[name].of_stages]
    matrices = [table_of(STAGED[kind].matrix) for kind in kinds]
    panels = {
        "training": [_line(LOSS, STEP), _line(LOSS, FORWARDS), _line(LR, STEP)],
        "stages": [_line(curve, STAGE) for curve in curves],
        "measures": [wr.BarPlot(title=name, metrics=[name]) for name in measures],
        "matrices": [wr.WeavePanelSummaryTable(table_name=name) for name in matrices],
        "sweep": [
            _line(best_of(sweep.spec.search.metric), AXIS),
            wr.LinePlot(title="trials", x=AXIS, y=list(COUNTS)),
            wr.MediaBrowser(media_keys=[Path(name).stem for name in (*PICTURES, PAGE)]),
        ],
    }
    return [ws.Section(name=name, panels=shown, is_open=True) for name, shown in panels.items()]


def _line(y: str, x: str) -> Any:
    import wandb_workspaces.reports.v2 as wr

    return wr.LinePlot(title=f"{y} against {x}", x=x, y=[y])
