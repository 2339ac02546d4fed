"""The ranks of a trial: processes that take every step together and tell each other losses, a few bytes a step.

All hold the same seeds, so from the same losses each makes the same update: neither gradients nor weights are sent.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.distributed as dist


class Ranks:
    """Rank `rank` of `world`, which this process is; alone unless told otherwise.

    `bytes_sent` is what it has handed to `sum`: 8 bytes a number. A ring passes each of them on less than twice. What
    DeepSpeed sends, gradients or the weights that ZeRO-3 gathers, is not in it.
    """

    def __init__(self, rank: int = 0, world: int = 1, device: torch.device | str = "cpu") -> None:
        self.rank, self.world, self._device = rank, world, device
        self.bytes_sent = 0

    @classmethod
    def of_group(cls, device: torch.device) -> Ranks:
        """Those of torch's default process group."""
        return cls(dist.get_rank(), dist.get_world_size(), device)

    def sum(self, numbers: Sequence[float]) -> list[float]:
        """Each number's sum over the ranks, in float64, the same bits on every rank: one message."""
        if self.world == 1:
            return list(numbers)
        message = torch.tensor(numbers, dtype=torch.float64, device=self._device)
        dist.all_reduce(message)
        self.bytes_sent += message.nbytes
        return message.tolist()

    def word_of_first(self, yes: bool) -> bool:
        """The `yes` that rank 0 gives, on every rank: one message."""
        return self.sum([float(yes and self.rank == 0)]) != [0.0]

    def gathered(self, share: torch.Tensor) -> torch.Tensor:
        """The shares of all ranks, equally long and flat, one after the other."""
        if self.world == 1:
            return share
        mine = share.to(self._device).contiguous()
        parts = [torch.empty_like(mine) for _ in range(self.world)]
        dist.all_gather(parts, mine)
        return torch.cat(parts)

    def spread(self, tensors: Sequence[torch.Tensor]) -> None:
        """Write rank 0's tensors over those of the others."""
        if self.world > 1:
            for tensor in tensors:
                dist.broadcast(tensor, 0)
