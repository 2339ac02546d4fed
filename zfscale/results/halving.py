"""A trial that ran out of memory runs once more, with half the micro-batch: the same batches, in smaller parts.

The gradient, or the loss, of a batch is the sum over its parts, so only its last bits differ. The row of the trial says
with which micro-batch it ran, and its replay computes with the same.
"""

from __future__ import annotations

from zfscale.spec import TrialSpec

SIGNS = ("can't allocate memory", "not enough memory")  # in a RuntimeError of torch's, of memory of the CPU
CAUSE = "OutOfMemory"  # the name of its group among the causes of failures


def out_of_memory(error: BaseException) -> bool:
    """Whether memory of this process or its GPU was refused: an error of Python's or of torch's.

    >>> out_of_memory(MemoryError()), out_of_memory(RuntimeError("DefaultCPUAllocator: can't allocate memory"))
    (True, True)
    >>> out_of_memory(RuntimeError("a shape does not fit"))
    False
    """
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":  # torch's, on CUDA
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in SIGNS)


def halved(spec: TrialSpec) -> int | None:
    """Half of what a trial computes at once; None where that is one example."""
    whole = min(spec.train.micro_batch_size or spec.train.batch_size, spec.train.batch_size)
    return -(-whole // 2) if whole > 1 else None


def in_parts(spec: TrialSpec, micro_batch: int | None) -> TrialSpec:
    """The trial as it is computed with another micro-batch; as it is, if that is None. Its id is not to be asked."""
    if micro_batch is None:
        return spec
    return spec.model_copy(update={"train": spec.train.model_copy(update={"micro_batch_size": micro_batch})})
