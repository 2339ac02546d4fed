"""How long a sweep will still take, from the forwards that each trial is known to make, with the spread of the guess.

A forward has a price, which differs from kind to kind of trial; so the time that is left follows from what ran,
earlier runs included, and from the mix of what is left, not from a mean over trials. An untrained trial has
a price as a whole.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from zfscale.results.plan import Expected, Kind

WIDTH = 1.28  # standard deviations on either side: four of five sweeps end within
ONE, PARTIAL, OTHER = 0.2, 0.3, 0.5  # relative error of a price: of one trial, of a part of one, of other kinds


class Going(NamedTuple):
    """A trial that runs: forwards it has made, seconds that one of them takes, seconds since this attempt began."""

    trial_id: str
    forwards: float = 0.0
    price: float | None = None
    elapsed: float = 0.0


class Eta(NamedTuple):
    """Seconds that are left, and between which bounds four of five sweeps would end."""

    seconds: float
    low: float
    high: float

    def __str__(self) -> str:
        if clock(self.low) == clock(self.high):
            return clock(self.seconds)
        return f"{clock(self.seconds)} ({clock(self.low)}-{clock(self.high)})"


class Price(NamedTuple):
    """Seconds per unit of work, and the relative errors of this mean and of one trial."""

    mean: float
    error: float
    each: float


@dataclass
class Tally:
    """Sums over trials of a kind that finished; work is their forwards, or 1 each where they make none."""

    count: int = 0
    work: float = 0.0
    seconds: float = 0.0
    squares: float = 0.0  # of seconds per work

    def add(self, seconds: float, work: float) -> None:
        """One more trial."""
        self.count, self.work, self.seconds = self.count + 1, self.work + work, self.seconds + seconds
        self.squares += (seconds / work) ** 2

    @property
    def price(self) -> Price:
        """What they took."""
        mean = self.seconds / self.work
        if self.count == 1 or not mean:
            return Price(mean, ONE, ONE)
        each = math.sqrt(max(self.squares / self.count / mean**2 - 1, 0.0))
        return Price(mean, each / math.sqrt(self.count), each)


class Forecast:
    """Keeps sums of a kind's trials, so that asking costs nothing per trial.

    Args:
        trials: What every trial of the sweep is expected to take.
    """

    def __init__(self, trials: Mapping[str, Expected]) -> None:
        self._trials = trials
        self._seen: dict[Kind, Tally] = {}
        self._left: dict[Kind, list[float]] = {}  # number of trials, and their work
        self._ended: set[str] = set()
        self._busy, self._count = 0.0, 0  # of this run
        for one in trials.values():
            number, work = self._left.get(one.kind, (0.0, 0.0))
            self._left[one.kind] = [number + 1, work + _work(one)]
        self._each = {kind: work / number for kind, (number, work) in self._left.items()}  # work of one trial

    def end(self, trial_id: str, seconds: float | None, forwards: float | None, now: bool = True) -> None:
        """A trial has ended, in this run or (not `now`) before, after so many seconds and forwards, if it finished."""
        one = self._trials.get(trial_id)
        if one is None or trial_id in self._ended:
            return
        self._ended.add(trial_id)
        self._left[one.kind][0] -= 1
        self._left[one.kind][1] -= _work(one)
        self._count += now
        self._busy += (seconds or 0.0) * now
        if seconds:
            self._seen.setdefault(one.kind, Tally()).add(seconds, forwards or 1.0)

    def eta(self, going: Collection[Going], slots: int, wall: float) -> Eta | None:
        """The time left, with `slots` trials at a time and after `wall` seconds of this run; None if unknown."""
        going = [one for one in going if one.trial_id in self._trials and one.trial_id not in self._ended]
        partial = self._partial(going)
        prices = {kind: self._price(kind, partial) for kind, (number, _) in self._left.items() if number > 0}
        if not prices or not slots or None in prices.values():
            return None
        overhead = max(wall * slots - self._busy - sum(one.elapsed for one in going), 0.0) / max(self._count, 1)
        variance = longest = total = 0.0
        saved = self._saved(going, prices)
        for kind, price in prices.items():
            assert price is not None
            number, work = self._left[kind]
            left = max(work * price.mean - sum(saved.get(kind, ())), 0.0)
            variance += (left * price.error) ** 2 + (left * price.each) ** 2 / number
            total += left + (number - len(saved.get(kind, ()))) * overhead * (self._count > 0)
            longest = max(longest, work / number * price.mean - max(saved.get(kind, [0.0])))
        spread, seconds = WIDTH * math.sqrt(variance) / slots, max(total / slots, longest)
        return Eta(seconds, max(seconds - spread, 0.0), seconds + spread)

    def _partial(self, going: Collection[Going]) -> dict[Kind, Tally]:
        """What trials that run have shown of their kinds."""
        found: dict[Kind, Tally] = {}
        for one in going:
            if one.forwards and one.price:
                found.setdefault(self._trials[one.trial_id].kind, Tally()).add(one.price * one.forwards, one.forwards)
        return found

    def _price(self, kind: Kind, partial: Mapping[Kind, Tally]) -> Price | None:
        """Of the kind itself, of trials of it that run, or of the kinds most like it, all trained or all untrained."""
        if kind in self._seen:
            return self._seen[kind].price
        if kind in partial:
            return Price(partial[kind].price.mean, PARTIAL, PARTIAL)
        means = {other: tally.price.mean for other, tally in {**partial, **self._seen}.items()}
        known = {other: mean for other, mean in means.items() if mean and other[0] == kind[0]}
        if not known:
            return self._of_untrained(kind, means)
        most = max(_alike(kind, other) for other in known)
        logs = [math.log(mean) for other, mean in known.items() if _alike(kind, other) == most]
        middle = sum(logs) / len(logs)
        error = max(OTHER, math.sqrt(sum((log - middle) ** 2 for log in logs) / len(logs)))
        return Price(math.exp(middle), error, ONE)

    def _of_untrained(self, kind: Kind, means: Mapping[Kind, float]) -> Price | None:
        """No trained trial takes less than one of the kind, which makes no forward: half of that, give or take."""
        number, work = self._left[kind]
        whole = [self._each[other] * mean for other, mean in means.items() if mean]
        return Price(min(whole) / 2, 1.0, ONE) if whole and work == number else None

    def _saved(self, going: Collection[Going], prices: Mapping[Kind, Price | None]) -> dict[Kind, list[float]]:
        """By kind, the seconds of work that running trials have behind them: no more than each takes in all."""
        found: dict[Kind, list[float]] = {}
        for one in going:
            expected = self._trials[one.trial_id]
            price = prices[expected.kind]
            assert price is not None
            done = one.forwards * price.mean if expected.forwards else one.elapsed
            found.setdefault(expected.kind, []).append(min(done, _work(expected) * price.mean))
        return found


def _work(one: Expected) -> float:
    return one.forwards or 1.0


def _alike(kind: Kind, other: Kind) -> int:
    """How much two kinds share: a part counts more than all that come after it."""
    return sum((a == b) << (len(kind) - i) for i, (a, b) in enumerate(zip(kind, other, strict=False)))


def clock(seconds: float) -> str:
    """A duration in two units.

    >>> clock(75), clock(3_700), clock(200_000)
    ('1m15s', '1h01m', '2d07h')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, days = minutes // 60, minutes // 1440
    if days >= 2:
        return f"{days}d{hours % 24:02d}h"
    return f"{hours}h{minutes % 60:02d}m" if hours else f"{minutes}m{rest:02d}s"
