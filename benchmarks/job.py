"""A job: the work that one client does in one process while it is measured."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import attrs

PROJECT = "4de7ac8b-495b-4884-9a69-1050c6793cd6"
_CHUNK = 100
_IDS = {
    "droplet": "{0}",
    "volume": "{0:08x}-3b1f-11f0-8a2c-0a58ac14d0e1",
    "domain": "shop-{0}.example.com",
    "loadbalancer": "39052d89-8dd4-4d49-8d5a-{0:012x}",
}


@attrs.frozen(kw_only=True)
class Job:
    """The arguments of a client's function.

    Args:
        origin: The server's URL.
        redis: The URL of a Redis.
        total: The number of resources in the project.
        latency: The milliseconds that the server waits before each answer.
        per_page: The number of resources on a page.
        concurrency: The maximum number of concurrent requests, for clients that send any.
        count: The number of repetitions, or of resources to assign.
        odd: The distance of resources with an empty time, which the API doesn't document, or 0.
        kept: Measure the memory of the result, which makes the job slower.
    """

    origin: str = ""
    redis: str = ""
    total: int = 0
    latency: int = 0
    per_page: int = 200
    concurrency: int = 16
    count: int = 1
    odd: int = 0
    kept: bool = False

    @property
    def url(self) -> str:
        """The API's base URL, which tells the server how large the project is."""
        return f"{self.origin}/{self.total}/{self.latency}/{self.odd}"

    @property
    def expected(self) -> int:
        """The number of things that a client must have done."""
        return self.count if self.count > 1 else self.total

    @property
    def first(self) -> Job:
        """A small job, after which a process has loaded everything."""
        total = min(self.total, self.per_page)
        return attrs.evolve(self, total=total, latency=0, count=1)


def resource_id(index: int) -> tuple[str, str]:
    """Return the type and the id of a resource."""
    kind = tuple(_IDS)[index % len(_IDS)]
    return kind, _IDS[kind].format(index)


def urns(count: int) -> list[str]:
    """Return the URNs of the project's first resources."""
    return ["do:{}:{}".format(*resource_id(index)) for index in range(count)]


def chunks(job: Job) -> list[list[str]]:
    """Return the URNs to assign, a hundred for each request."""
    names = urns(job.count)
    return [names[start : start + _CHUNK] for start in range(0, len(names), _CHUNK)]


async def collect_pages(load: Callable[[int], Awaitable[Any]], job: Job) -> list[Any]:
    """Load the first page, then the others concurrently, and return their resources in order."""
    first = await load(1)
    pages = {1: first["resources"]}
    numbers = iter(range(2, -(-first["meta"]["total"] // job.per_page) + 1))

    async def work() -> None:
        for number in numbers:
            pages[number] = (await load(number))["resources"]

    await asyncio.gather(*(work() for _ in range(job.concurrency)))
    return [resource for number in sorted(pages) for resource in pages[number]]
