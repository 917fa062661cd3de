"""httpx and orjson, to dicts, at the floor's concurrency."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import httpx
import orjson

from benchmarks.account import PROJECT

from .floor import CONCURRENCY, chunks

if TYPE_CHECKING:
    from benchmarks.job import Job


_PATH = f"/v2/projects/{PROJECT}"


def _client(job: Job) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        base_url=job.url,
        headers={"Authorization": "Bearer t", "Content-Type": "application/json"},
        trust_env=False,
    )


async def _load(client: httpx.AsyncClient, path: str, **query: int) -> Any:
    return orjson.loads((await client.get(path, params=query)).content)


async def collect(job: Job) -> list[Any]:
    """List all: the first page, then the others, many at a time."""
    pages: dict[int, list[Any]] = {}

    async def load(number: int) -> Any:
        return await _load(client, f"{_PATH}/resources", page=number, per_page=job.per_page)

    async def work() -> None:
        for number in numbers:
            pages[number] = (await load(number))["resources"]

    async with _client(job) as client:
        first = await load(1)
        pages[1] = first["resources"]
        numbers = iter(range(2, -(-first["meta"]["total"] // job.per_page) + 1))
        await asyncio.gather(*(work() for _ in range(CONCURRENCY)))
    return [resource for number in sorted(pages) for resource in pages[number]]


async def get(job: Job) -> int:
    """Ask for a project many times, one after the other."""
    right = 0
    async with _client(job) as client:
        for _ in range(job.count):
            right += (await _load(client, _PATH))["project"]["id"] == PROJECT
    return right


async def assign(job: Job) -> list[Any]:
    """Assign many, a hundred at a time."""
    done = []
    async with _client(job) as client:
        for chunk in chunks(job):
            body = orjson.dumps({"resources": chunk})
            response = await client.post(f"{_PATH}/resources", content=body)
            done += orjson.loads(response.content)["resources"]
    return done
