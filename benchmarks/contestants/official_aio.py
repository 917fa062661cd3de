"""pydo, the official client, awaited: pages as its README shows, one after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydo.aio import Client

from benchmarks.account import PROJECT

from .floor import chunks
from .official import PLAIN, next_page

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from benchmarks.job import Job


def _client(job: Job) -> Client:
    return Client(token="t", endpoint=job.url)  # noqa: S106 - the server takes any


async def collect(job: Job) -> list[Any]:
    """List all."""
    async with _client(job) as client:
        return [resource async for page in _pages(client, job) for resource in page]


async def iterate(job: Job) -> int:
    """Look at all, and keep none."""
    seen = 0
    async with _client(job) as client:
        async for page in _pages(client, job):
            for _ in page:
                seen += 1
    return seen


async def _pages(client: Client, job: Job) -> AsyncIterator[list[Any]]:
    number: int | None = 1
    while number is not None:
        answer = await client.projects.list_resources(
            PROJECT, per_page=job.per_page, page=number, **PLAIN
        )
        yield answer["resources"]
        number = next_page(answer)


async def get(job: Job) -> int:
    """Ask for a project many times, one after the other."""
    right = 0
    async with _client(job) as client:
        for _ in range(job.count):
            right += (await client.projects.get(PROJECT, **PLAIN))["project"]["id"] == PROJECT
    return right


async def assign(job: Job) -> list[Any]:
    """Assign many, a hundred at a time."""
    done = []
    async with _client(job) as client:
        for chunk in chunks(job):
            body = {"resources": chunk}
            answer = await client.projects.assign_resources(PROJECT, body, **PLAIN)
            done += answer["resources"]
    return done
