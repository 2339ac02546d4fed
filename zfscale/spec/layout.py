"""What of a trial does not go with how it is divided over ranks: ZeRO's stage, DeepSpeed's formats, the workers."""

from __future__ import annotations

from collections.abc import Iterator

from zfscale.spec.names import Finding
from zfscale.spec.schema import ResourcesSpec
from zfscale.spec.trial import TrialSpec

STAGE, DTYPE, OFFLOAD = ("engine", "stage"), ("engine", "dtype"), ("engine", "offload")
CARRY = ("optimizer", "carry_state")
WORKERS, PARALLEL = ("resources", "workers"), ("train", "parallel")


def layout(trial: TrialSpec, resources: ResourcesSpec) -> list[Finding]:
    """Everything wrong with the `engine` block, `train.parallel` and `resources.workers` of one trial.

    The optimizers of the trials that a fork comes from take their steps again where the fork runs.
    """
    elders = [each.model_copy(update={"engine": trial.engine}) for _, each in trial.lineage[:-1]]
    divided = [finding for each in (*elders, trial) for finding in _stage(each)]
    return [*divided, *_dtype(trial, resources), *_workers(trial, resources)]


def _stage(trial: TrialSpec) -> Iterator[Finding]:
    stage, o = trial.engine.stage, trial.optimizer
    if stage not in (stages := trial.optimizing.stages(o.filled())):
        who = f"{o.name} with a first-order phase" if trial.hybrid else o.name
        yield STAGE, f"{stage} cannot be used by {who}; allowed: {', '.join(map(str, stages))}"
    elif stage == 3 and trial.stream.protocol != "domain_incremental":
        yield STAGE, f"3 divides the weights once, but the methods of {trial.stream.kind} add to them; allowed: 0"
    if trial.optimizer.carry_state and stage:
        yield (
            CARRY,
            f"the state is divided over ranks at engine.stage {stage}, and not carried; allowed: stage 0",
        )
    if trial.engine.offload == "cpu" and stage == 0:
        yield OFFLOAD, "stage 0 divides nothing that could be offloaded; allowed: none, or engine.stage 1 to 3"


def _dtype(trial: TrialSpec, resources: ResourcesSpec) -> Iterator[Finding]:
    dtype, precision = trial.engine.dtype, trial.train.precision
    if dtype == "fp32":
        return
    if not trial.optimizing.first_order or trial.engine.stage not in (1, 2):
        yield DTYPE, f"{dtype!r} is for fo- optimizers at engine.stage 1 or 2; allowed: fp32, with train.precision"
    elif trial.stream.protocol != "domain_incremental":
        yield DTYPE, f"{trial.stream.kind} has heads that compute in fp32; allowed: fp32, with train.precision"
    elif precision != "fp32":
        yield DTYPE, f"{dtype!r} and train.precision {precision!r} both say what to compute in; allowed: one of them"
    elif dtype == "fp16" and not resources.gpus:
        yield DTYPE, "DeepSpeed trains in fp16 on GPUs only, and resources.gpus is 0; allowed: fp32, bf16"


def _workers(trial: TrialSpec, resources: ResourcesSpec) -> Iterator[Finding]:
    n, o, train = resources.workers, trial.optimizer, trial.train
    query = train.parallel == "query"
    if query and trial.optimizing.first_order:
        yield PARALLEL, f"{o.name} has no queries to share; allowed: data"
    elif query and trial.engine.stage == 3:
        yield PARALLEL, "at engine.stage 3 all ranks gather the same weights for a forward; allowed: data"
    elif query and n > (count := trial.optimizing.estimator.forwards(o.filled())):
        yield WORKERS, f"{n} for the {count} forwards of an estimate, so that some would idle; allowed: 1 to {count}"
    if (not query or o.first_order) and train.batch_size % n:
        allowed = ", ".join(str(k) for k in range(1, train.batch_size + 1) if train.batch_size % k == 0)
        yield WORKERS, f"{n} does not divide train.batch_size {train.batch_size}; allowed: {allowed}"
    if n > 1 and resources.gpus % 1:
        yield ("resources", "gpus"), f"{resources.gpus:g} of a GPU for each of {n} workers; allowed: whole GPUs"
