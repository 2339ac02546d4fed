"""Sleeping trials by the thousand in a few processes, which a driver takes for workers with a process each.

Calls, answers and waiting are Ray's. NOTE: what it costs to make actors and placement groups, what further nodes cost,
and the files in which workers say how far they are, is not seen.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import ray
from ray.air.execution.resources import AcquiredResources, ResourceManager, ResourceRequest
from ray.tune.execution import tune_controller

from zfscale.patching import replaced

AT_ONCE = 100_000  # calls that a host answers at a time, of which most sleep


class Host:
    """A process that has many trials.

    Args:
        pause: Seconds that each sleeps before it takes a step.
    """

    def __init__(self, pause: float) -> None:
        self.pause, self._held = pause, dict[int, asyncio.Future[Any]]()

    async def begin(self, number: int, kind: type, options: dict[str, Any]) -> None:
        """Make the trial of a number, or have each of its calls fail."""
        try:
            self._trial(number).set_result(kind(**options))
        except Exception as error:
            self._trial(number).set_exception(error)

    async def call(self, number: int, name: str, words: tuple[Any, ...], options: dict[str, Any]) -> Any:
        """Call a method of it."""
        trial = await self._trial(number)
        if name == "train":
            await asyncio.sleep(self.pause)
        return getattr(trial, name)(*words, **options)

    def _trial(self, number: int) -> asyncio.Future[Any]:
        """One that may not have begun: Ray sends each call as soon as it has what that is called with."""
        return self._held.setdefault(number, asyncio.get_running_loop().create_future())


class Hosts:
    """So many of them: a trial is given to each in turn."""

    def __init__(self, count: int, pause: float) -> None:
        made: Any = ray.remote(Host)
        made = made.options(num_cpus=0, max_concurrency=AT_ONCE)
        self._hosts = itertools.cycle([made.remote(pause) for _ in range(count)])
        self._numbers, self._kinds = itertools.count(), dict[type, Any]()

    def begin(self, kind: type, options: dict[str, Any]) -> Handle:
        """A trial as Tune makes one of its workers, of this class with these options."""
        if kind not in self._kinds:  # a class is sent once
            self._kinds[kind] = ray.put(kind)
        host, number = next(self._hosts), next(self._numbers)
        host.begin.remote(number, self._kinds[kind], options)
        return Handle(host, number)


class Handle:
    """A trial of a host as Ray's handle of a worker: `handle.method.remote(...)`."""

    def __init__(self, host: Any, number: int) -> None:
        self._host, self._number = host, number

    def __getattr__(self, name: str) -> Method:
        return Method(self._host, self._number, name)


class Method:
    """A method of such a trial."""

    def __init__(self, host: Any, number: int, name: str) -> None:
        self._host, self._number, self._name = host, number, name

    def remote(self, *words: Any, **options: Any) -> Any:
        """A reference to what it will return."""
        return self._host.call.remote(self._number, self._name, words, options)


class Rooms(ResourceManager):
    """Room for so many workers on the hosts, whatever resources these ask for."""

    def __init__(self, count: int, hosts: Hosts) -> None:
        self._free, self._hosts = count, hosts

    def request_resources(self, resource_request: ResourceRequest) -> None:
        """Nothing is reserved."""

    def cancel_resource_request(self, resource_request: ResourceRequest) -> None:
        """As above."""

    def has_resources_ready(self, resource_request: ResourceRequest) -> bool:
        """Whether there is room for one more."""
        return self._free > 0

    def acquire_resources(self, resource_request: ResourceRequest) -> Room:
        """Room for one worker."""
        self._free -= 1
        return Room(resource_request, self._hosts)

    def free_resources(self, acquired_resource: AcquiredResources) -> None:
        """Give it back."""
        self._free += 1

    def clear(self) -> None:
        """The hosts go with their cluster."""


class Room(AcquiredResources):
    """Room for one worker, which a host will have."""

    def __init__(self, request: ResourceRequest, hosts: Hosts) -> None:
        super().__init__(request)
        self._hosts = hosts

    def _annotate_remote_entity(self, entity: Any, bundle: dict[str, float], bundle_index: int) -> Any:
        return Hosted(entity.__ray_metadata__.modified_class, self._hosts)


class Hosted:
    """A class of workers as Ray has it, whose instances are a host's."""

    def __init__(self, kind: type, hosts: Hosts) -> None:
        self._kind, self._hosts = kind, hosts

    def remote(self, **options: Any) -> Handle:
        """One of them."""
        return self._hosts.begin(self._kind, options)


@contextmanager
def hosted(workers: int, hosts: int, pause: float) -> Iterator[None]:
    """Let Tune's workers be on hosts, until the block ends; Ray must run."""
    made = Hosts(hosts, pause)
    with ExitStack() as stack:
        room = replaced(tune_controller, "PlacementGroupResourceManager", lambda: Rooms(workers, made))
        stack.enter_context(room)
        stack.enter_context(replaced(ray, "kill", lambda handle: None))  # hosts end with their cluster
        yield
