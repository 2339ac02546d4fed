"""The oracle that answers with a torch module: forwards at other weights than the module's, which are never written.

Over several ranks, either each computes every loss on its share of the batch (data-parallel), or each computes other
losses of those asked for at once, on the whole batch (query-parallel). One message then tells all of them to all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import torch
from torch.autograd import forward_ad

from zfscale.engine.module_leaves import ModuleLeaf, ModuleLeaves
from zfscale.engine.overlay import Overlay, Scratch
from zfscale.engine.ranks import Ranks
from zfscale.errors import ZfscaleError
from zfscale.zo.directions.base import CHUNK
from zfscale.zo.oracle import Oracle, Point, Tangent

Loss = Callable[[], torch.Tensor]  # one forward on the current batch -> scalar
Look = Callable[[Loss], Sequence[float]]  # what one forward of a loss tells: numbers that are linear in it


class ModuleOracle(Oracle):
    """A loss, the leaves it depends on, and the overlay through which its forwards see other weights.

    `share` is the part of the loss that this rank's examples make: over the ranks, it adds up to `loss`.
    """

    def __init__(
        self,
        loss: Loss,
        leaves: ModuleLeaves,
        overlay: Overlay,
        ranks: Ranks | None = None,
        share: Loss | None = None,
        query_parallel: bool = False,
    ) -> None:
        self.loss, self.leaves, self.overlay = loss, leaves, overlay
        self.ranks, self._share, self._by_query = ranks or Ranks(), share, query_parallel
        self._scratch = Scratch()

    def losses(self, points: Sequence[Point | None]) -> list[float]:
        """See `Oracle`: one forward each, one message."""
        return [loss for (loss,) in self._look([partial(self._loss_at, point) for point in points], width=1)]

    def slopes(self, tangents: Sequence[Tangent]) -> list[tuple[float, float]]:
        """See `Oracle`: one forward each, by forward-mode AD, and one message.

        NOTE: fused attention has no forward derivative, so models are built with eager attention for this. Where
        forwards compute in 16 bits, so does the tangent: it is along z rounded to them, while the update uses z itself.
        """
        told = self._look([partial(self._loss_and_slope, tangent) for tangent in tangents], width=2)
        return [(loss, slope) for loss, slope in told]

    def _look(self, looks: Sequence[Look], width: int) -> list[list[float]]:
        """What each of these forwards tells, `width` numbers, on every rank: one message.

        NOTE: fewer of them than ranks, as conserve's candidates are, go data-parallel in a query-parallel trial too.
        """
        rank, world = self.ranks.rank, self.ranks.world
        if self._by_query and len(looks) >= world:
            found = [look(self.loss) if i % world == rank else [0.0] * width for i, look in enumerate(looks)]
        else:
            found = [look(self._share or self.loss) for look in looks]
        told = self.ranks.sum([number for numbers in found for number in numbers])
        return [told[i : i + width] for i in range(0, len(told), width)]

    def _loss_at(self, point: Point | None, loss: Loss) -> list[float]:
        with torch.no_grad():
            if point is None:
                return [float(loss())]
            with self._weights(point):
                return [float(loss())]

    @contextmanager
    def _weights(self, point: Point) -> Iterator[None]:
        """Forwards inside run at `point`: all of it made at once where it is small, else each leaf when it is read."""
        leaves = self.leaves
        if leaves.total <= CHUNK:
            flat = torch.empty_like(leaves.flat, dtype=torch.promote_types(leaves.flat.dtype, torch.float32))
            for a, b in leaves.held:
                point(a, b, flat[leaves.here(a, b)])
            with self.overlay.at(lambda leaf: leaf.of(flat).to(leaf.seen)):
                yield
        else:
            with self.overlay.at(partial(self._write, point), self._scratch.give):
                yield

    def _write(self, point: Point, leaf: ModuleLeaf) -> torch.Tensor:
        out = self._scratch.take(leaf)
        point(leaf.first, leaf.last, out[: leaf.last - leaf.first])
        return out.view(leaf.home.shape)

    def _loss_and_slope(self, tangent: Tangent, loss: Loss) -> tuple[float, float]:
        with torch.no_grad(), forward_ad.dual_level(), self.overlay.at(partial(_dual, tangent)):
            try:
                value, slope = forward_ad.unpack_dual(loss())
            except NotImplementedError as error:  # of an operator
                reason = str(error).strip().partition("\n")[0]
                raise ZfscaleError(f"optimizer: forward-grad needs forward-mode derivatives: {reason}") from error
            if slope is None:
                raise ZfscaleError("train.objective: no derivative, which forward-grad needs")
            return float(value), float(slope)


def _dual(tangent: Tangent, leaf: ModuleLeaf) -> torch.Tensor:
    z = tangent(leaf.start, leaf.stop).view(leaf.parameter.shape)
    return forward_ad.make_dual(leaf.cast().detach(), z.to(leaf.seen))
