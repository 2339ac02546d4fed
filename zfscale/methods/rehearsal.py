"""Rehearsal, which the benchmark calls replay: finetuning on each task's images together with a buffer of earlier ones.

The buffer is that of MEMO (Zhou et al., ICLR 2023) and iCaRL: 2,000 images chosen by herding, and nothing else of them.
"""

from __future__ import annotations

from zfscale.methods.finetune import Finetune
from zfscale.methods.rehearsing import Rehearsing


class Rehearsal(Rehearsing, Finetune):
    """Cross-entropy over all classes seen so far, on the new task's images and the buffer's, mixed in every batch."""
