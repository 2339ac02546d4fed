"""One sweep file for several drivers: each runs a share of the trials, as a sweep of its own."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import NamedTuple

from zfscale.errors import ZfscaleError
from zfscale.spec import Sweep
from zfscale.spec.text import LONGEST_NAME

MOST = 1000  # shards of a sweep


class Shard(NamedTuple):
    """The i-th of n shares, i from 1."""

    i: int
    n: int

    @classmethod
    def parse(cls, text: str) -> Shard:
        """Read `i/n`.

        >>> Shard.parse("2/4")
        Shard(i=2, n=4)

        Raises:
            ValueError: It is no such share.
        """
        found = re.fullmatch(r"([0-9]{1,4})/([0-9]{1,4})", text)
        shard = cls(*map(int, found.groups())) if found else cls(0, 0)
        if not 1 <= shard.i <= shard.n <= MOST:
            raise ValueError(f"expected i/n with 1 <= i <= n <= {MOST}, such as 2/4, got {text!r}")
        return shard

    def has(self, trial_id: str) -> bool:
        """Whether a trial is in this share. It depends on the id alone, so that a file may grow.

        >>> [Shard(i, 3).has("00000000000a") for i in (1, 2, 3)]
        [False, True, False]
        """
        return int(trial_id, 16) % self.n == self.i - 1


def shard_of(sweep: Sweep, shard: Shard) -> Sweep:
    """The share as a sweep named NAME.IofN, with a results directory, a lock and a scheduler of its own.

    Raises:
        ZfscaleError: The share has no trial, or its name would be too long; or trials are proposed, so that no share is
            known.
    """
    if sweep.cells:
        algorithm = sweep.spec.search.algorithm.name
        raise ZfscaleError(f"{sweep.path}: --shard: {algorithm} proposes trials by the results of all; run it whole")
    name = f"{sweep.spec.name}.{shard.i}of{shard.n}"
    if len(name) > LONGEST_NAME:
        raise ZfscaleError(f"{sweep.path}: name: {name} has {len(name)} characters; expected at most {LONGEST_NAME}")
    trials = tuple(trial for trial in sweep.trials if shard.has(trial.trial_id))
    if not trials:
        count = len(sweep.trials)
        raise ZfscaleError(f"--shard {shard.i}/{shard.n}: none of the {count} trials is in it; expected fewer shards")
    return replace(sweep, spec=sweep.spec.model_copy(update={"name": name}), trials=trials)
