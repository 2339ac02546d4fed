"""What takes the steps of a phase of training: a forward-only optimizer, or backpropagation."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import torch
import torch.nn.functional as F

from zfscale import registry
from zfscale.engine.deepspeed import Engine
from zfscale.engine.module_leaves import ModuleLeaves
from zfscale.engine.module_oracle import ModuleOracle
from zfscale.engine.ranks import Ranks
from zfscale.errors import ZfscaleError
from zfscale.models.trained import Trained
from zfscale.streams.base import Stage
from zfscale.training import objective
from zfscale.training.batch import Batch
from zfscale.training.beginnings import MIB, Beginnings
from zfscale.training.objective import Loss, plain
from zfscale.training.seeds import DIRECTIONS, DROPOUT, QUERY, SPARSE
from zfscale.zo import catalogue
from zfscale.zo.directions.base import CHUNK, make_directions
from zfscale.zo.directions.sparse import Sparse
from zfscale.zo.estimate import Estimate
from zfscale.zo.ledger import Entry
from zfscale.zo.philox import derive
from zfscale.zo.problem import Problem
from zfscale.zo.step import Stepper, StepResult, make_algorithm
from zfscale.zo.units import grown

if TYPE_CHECKING:
    from zfscale.spec import TrialSpec


FORWARD_ONLY, FIRST_ORDER = "forward-only", "first-order"  # keys of what a network's optimizers carry over
WEIGHT = "weight"  # in a checkpoint, beside what torch.optim calls its states


@dataclass(frozen=True)
class FirstOrderPhase:
    """The epochs at the start of every task that backpropagation takes."""

    name: str
    lr: float
    epochs: int
    own_schedule: bool = False  # rather than a part of one over the whole task


def first_order(spec: TrialSpec) -> FirstOrderPhase:
    """All epochs of a first-order optimizer, the first ones of a hybrid, none of a forward-only one."""
    o = spec.optimizer
    if spec.optimizing.first_order:
        return FirstOrderPhase(o.name, o.lr, spec.train.epochs)
    if o.first_order is None:
        return FirstOrderPhase("", 0.0, 0)
    f = o.first_order
    return FirstOrderPhase(f.name, f.lr, f.epochs, f.schedule_over == "phase")


class Trainer(Protocol):
    """Takes optimizer steps on `batch`; `leaves` are what it trains."""

    batch: Batch
    leaves: ModuleLeaves

    def step(self, seed: int, lr: float, number: int) -> StepResult:
        """`seed` is the step's own: whatever is random in it derives from it. `number` is its place in the task."""
        ...

    def close(self) -> None:
        """Leave the network in eval mode."""
        ...


class ForwardOnly:
    """A zeroth-order or forward-gradient optimizer; the network runs in eval mode, so that L is a function.

    `loss` is the method's own; one for `replaying` alone computes none. One that follows another in the middle of a
    task goes on with its state, where their optimizers agree. Errors: ZfscaleError if `eps` is lost in the weights'
    number format.
    """

    def __init__(
        self,
        network: Trained,
        engine: Engine,
        spec: TrialSpec,
        task: Stage,
        replaying: bool = False,
        loss: Loss = plain,
        before: ForwardOnly | None = None,
    ) -> None:
        o, self._queries = spec.optimizer.filled(), spec.optimizer.queries
        engine.train(False)
        self.leaves, overlay = network.prepare(one(task, engine))
        if "eps" in spec.optimizing.estimator.arguments and not replaying:
            check_eps(self.leaves, o.eps, engine.ranks)
        self.batch = Batch(engine, F.cross_entropy) if replaying else _batch(network, engine, spec, task, loss)
        mask = None
        if o.sparsity:
            seed = derive(spec.seed, task.index, SPARSE)
            mask = Sparse(seed, o.sparsity, self.leaves.total, self.leaves.device).mask
        seed = derive(spec.seed, task.index, DIRECTIONS)
        directions = make_directions(o, self.leaves, device=self.leaves.device, mask=mask, seed=seed)
        over = (engine.ranks, self.batch.share, spec.train.parallel == "query")
        oracle = ModuleOracle(self.batch.loss, self.leaves, overlay, *over)
        self._stepper = Stepper(make_algorithm(o), Problem(oracle, directions))
        self._network, self._optimizer = network, o
        if before is not None:
            if catalogue.keeps_state(before._optimizer, o):
                self._stepper.take_over(before._stepper)
        elif o.carry_state and FORWARD_ONLY in network.carried:
            optimizer, kept = network.carried[FORWARD_ONLY]
            if catalogue.keeps_state(optimizer, o):
                self._stepper.start_from(kept)

    def step(self, seed: int, lr: float, number: int) -> StepResult:
        """Algorithm 1, with seeds derived from the step's."""
        return self._stepper.step(self._seeds(seed), lr, number)

    def look(self, seed: int, lr: float, number: int) -> StepResult:
        """What `step` would do; nothing is written."""
        return self._stepper.look(self._seeds(seed), lr, number)

    def replay(self, taken: Entry, lr: float, number: int) -> None:
        """Take a step again as it was taken: no forward, the same weights and state, bit for bit."""
        estimate = Estimate(taken.seeds, taken.coefficients, taken.loss, exact=False, forwards=0)
        self._stepper.commit(estimate, lr, taken.accepted, number)

    def close(self) -> None:
        """Leave to the next task what the optimizer carries over."""
        if self._optimizer.carry_state:
            self._network.carried[FORWARD_ONLY] = (self._optimizer, self._stepper.carried())

    def _seeds(self, seed: int) -> list[int]:
        return [derive(seed, QUERY, i) for i in range(self._queries)]


class FirstOrder:
    """Backpropagation through the engine; the network runs in train mode, its dropout drawn from the step's seed.

    `name` is that of a first-order optimizer; momentum, betas and decay are those of the file's `optimizer` block.
    """

    def __init__(
        self, network: Trained, engine: Engine, spec: TrialSpec, task: Stage, name: str, loss: Loss = plain
    ) -> None:
        o, self._inference = spec.optimizer.filled(), engine
        self.leaves, _ = network.prepare(one(task, engine))
        parameters = [leaf.parameter for leaf in self.leaves]
        rule = catalogue.optimizer(name).rule
        self._optimizer = registry.load(rule.path)(parameters, o.lr, **rule.torch_options(o))
        self._network, self._carries = network, o.carry_state
        carry_over(network.carried.get(FIRST_ORDER, {}), self.leaves, self._optimizer)
        training = Engine(network, spec.train.batch_size, self._optimizer, spec.engine, engine.ranks)
        training.start_from(self.leaves)
        training.train(True)
        self.batch = _batch(network, training, spec, task, loss)

    def step(self, seed: int, lr: float, number: int) -> StepResult:
        """Backward over the batch and one step of torch.optim's rule; none where the loss is not a number."""
        for group in self._optimizer.param_groups:
            group["lr"] = lr
        engine, count, total, taken = self.batch.engine, self.batch.count, 0.0, False
        with torch.random.fork_rng(devices=_own(engine.device)):
            torch.manual_seed(derive(seed, DROPOUT, *([engine.ranks.rank] if engine.ranks.rank else [])))
            for i, part in enumerate(self.batch.parts(), start=1):
                if not part.requires_grad:
                    raise ZfscaleError("train.objective: no derivative, which a first-order optimizer needs")
                total += float(part.detach())
                if i < count:
                    engine.backward(part, last=False)
                    continue
                (total,) = engine.ranks.sum([total])  # all ranks must go the same way
                if math.isfinite(total):
                    engine.backward(part)
                    taken = engine.step()
                else:
                    engine.discard(part)
        return StepResult(total, (), (), int(taken), forwards=1)

    @property
    def resumable(self) -> bool:
        """Whether `state` is all there is: not where DeepSpeed keeps weights and moments of its own, or other ranks."""
        return self.batch.engine.plain and self.batch.engine.ranks.world == 1

    def state(self) -> dict[str, torch.Tensor]:
        """Weights and what the optimizer keeps of them, by names that are the same in every attempt."""
        found = {f"{WEIGHT}/{leaf.name}": leaf.parameter.data for leaf in self.leaves}
        for leaf in self.leaves:
            kept = self._optimizer.state[leaf.parameter]
            found |= {f"{k}/{leaf.name}": v for k, v in kept.items() if isinstance(v, torch.Tensor)}
        return found

    def start_from(self, state: Mapping[str, torch.Tensor]) -> None:
        """Be as one whose `state` this was."""
        leaves = {leaf.name: leaf for leaf in self.leaves}
        for name, value in state.items():
            kind, _, leaf = name.partition("/")
            parameter = leaves[leaf].parameter
            if kind == WEIGHT:
                parameter.data.copy_(value)
            else:  # a count of steps stays on the CPU, where torch.optim has it
                self._optimizer.state[parameter][kind] = value.to(parameter.device) if value.ndim else value

    def close(self) -> None:
        """Back to evaluation; leave to the next task what the optimizer carries over."""
        if self._carries:
            kept = {leaf.name: dict(self._optimizer.state[leaf.parameter]) for leaf in self.leaves}
            self._network.carried[FIRST_ORDER] = kept
        self.batch.engine.hand_back(self.leaves)
        self._inference.train(False)


def carry_over(kept: Mapping[str, Mapping[str, Any]], leaves: ModuleLeaves, optimizer: torch.optim.Optimizer) -> None:
    """Give an optimizer what another of its kind kept of leaves of the same names: of a head that grew, the old rows.

    torch.optim counts the steps of each parameter, so weights that are in new leaves start as they would alone.
    """
    for leaf in leaves:
        for name, value in kept.get(leaf.name, {}).items():
            mine = value
            if isinstance(value, torch.Tensor) and value.ndim:
                mine = value.new_zeros(leaf.parameter.shape)
                grown(value, mine)
            optimizer.state[leaf.parameter][name] = mine


def check_eps(leaves: ModuleLeaves, eps: float, ranks: Ranks, option: str = "optimizer.eps") -> None:
    """ZfscaleError if theta + eps rounds to theta for most weights, in the number format that forwards see.

    Weights that are 0 do not count: there any eps is a number of its own. The message names the option.
    """
    moved = total = 0
    for leaf in leaves:
        for part in leaf.home.detach().view(-1)[: leaf.last - leaf.first].split(CHUNK):
            wide = part.to(torch.promote_types(part.dtype, torch.float32))
            total += int(wide.count_nonzero())
            moved += int((((wide + eps).to(leaf.seen) != wide.to(leaf.seen)) & (wide != 0)).sum())
    if leaves.sharded:
        moved, total = map(int, ranks.sum([moved, total]))
    if moved < total / 2:
        formats = ", ".join(sorted({str(leaf.seen).removeprefix("torch.") for leaf in leaves}))
        raise ZfscaleError(
            f"{option}: {eps:g} is lost in {formats}: theta + eps is theta for {total - moved} of {total} weights"
        )


def _batch(network: Trained, engine: Engine, spec: TrialSpec, task: Stage, loss: Loss) -> Batch:
    t = spec.train
    size, limit = t.micro_batch_size or t.batch_size, t.frozen_cache_mib * MIB
    beginnings = Beginnings(network, task.train_x, size, limit)
    return Batch(engine, objective.load(t.objective), t.micro_batch_size, network.targets, loss, beginnings)


def one(task: Stage, engine: Engine) -> torch.Tensor:
    """An example of the task's, to prepare a network with."""
    return torch.tensor(task.train_x[:1], device=engine.device)


def _own(device: torch.device) -> list[torch.device]:
    return [] if device.type == "cpu" else [device]
