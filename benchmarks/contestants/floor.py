"""The floor: aiohttp and orjson, to dicts, without retries, limits, errors or types."""

from __future__ import annotations

import asyncio
import json
from functools import cache
from typing import TYPE_CHECKING, Any

import orjson
from aiohttp import ClientSession, DummyCookieJar
from yarl import URL

from benchmarks.account import PROJECT, page, urn

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from benchmarks.job import Job

CONCURRENCY = 16
THREADS = 8
DECODED = 40_000
_HEADERS = {"Authorization": "Bearer t", "Content-Type": "application/json"}


def _session() -> ClientSession:
    return ClientSession(headers=_HEADERS, cookie_jar=DummyCookieJar())


async def _load(session: ClientSession, url: str) -> Any:
    async with session.get(URL(url, encoded=True)) as response:
        return orjson.loads(await response.read())


def _page_url(job: Job, number: int) -> str:
    return f"{job.url}/v2/projects/{PROJECT}/resources?page={number}&per_page={job.per_page}"


async def collect(job: Job) -> list[Any]:
    """List all: the first page, then the others, many at a time."""
    pages: dict[int, list[Any]] = {}

    async def work() -> None:
        for number in numbers:
            pages[number] = (await _load(session, _page_url(job, number)))["resources"]

    async with _session() as session:
        first = await _load(session, _page_url(job, 1))
        pages[1] = first["resources"]
        numbers = iter(range(2, -(-first["meta"]["total"] // job.per_page) + 1))
        await asyncio.gather(*(work() for _ in range(CONCURRENCY)))
    return [resource for number in sorted(pages) for resource in pages[number]]


async def iterate(job: Job) -> int:
    """Look at all, and keep none: pages in order, the next ones under way."""
    seen = 0
    async with _session() as session:
        async for resources in _in_order(session, job):
            for _ in resources:
                seen += 1
    return seen


async def _in_order(session: ClientSession, job: Job) -> AsyncIterator[list[Any]]:
    first = await _load(session, _page_url(job, 1))
    yield first["resources"]
    numbers = iter(range(2, -(-first["meta"]["total"] // job.per_page) + 1))
    tasks: list[asyncio.Task[Any]] = []
    while True:
        for number in numbers:
            tasks.append(asyncio.create_task(_load(session, _page_url(job, number))))
            if len(tasks) == CONCURRENCY:
                break
        if not tasks:
            return
        yield (await tasks.pop(0))["resources"]


async def get(job: Job) -> int:
    """Ask for a project many times, one after the other."""
    right = 0
    async with _session() as session:
        for _ in range(job.count):
            document = await _load(session, f"{job.url}/v2/projects/{PROJECT}")
            right += document["project"]["id"] == PROJECT
    return right


async def assign(job: Job) -> list[Any]:
    """Assign many, a hundred at a time."""
    done = []
    url = URL(f"{job.url}/v2/projects/{PROJECT}/resources", encoded=True)
    async with _session() as session:
        for chunk in chunks(job):
            async with session.post(url, data=orjson.dumps({"resources": chunk})) as response:
                done += orjson.loads(await response.read())["resources"]
    return done


def chunks(job: Job) -> list[list[str]]:
    """What is to be assigned, a hundred at a time."""
    return [
        list(map(urn, range(start, min(start + 100, job.count))))
        for start in range(0, job.count, 100)
    ]


@cache
def bodies() -> list[bytes]:
    """Pages to be decoded."""
    return [page("", DECODED, 200, number) for number in range(1, DECODED // 200 + 1)]


def decode_and_drop(job: Job, loads: Callable[[bytes], Any] = orjson.loads) -> int:
    """Decode pages, and keep nothing."""
    return sum(len(loads(body)["resources"]) for _ in range(job.count) for body in bodies())


def decode_and_keep(job: Job, loads: Callable[[bytes], Any] = orjson.loads) -> int:
    """Decode pages, and keep it all, for a while."""
    seen = 0
    for _ in range(job.count):
        kept = []
        for body in bodies():
            kept += loads(body)["resources"]
        seen += len(kept)
    return seen


def decode_plainly_and_drop(job: Job) -> int:
    """Decode pages as the other clients do, and keep nothing."""
    return decode_and_drop(job, json.loads)


def decode_plainly_and_keep(job: Job) -> int:
    """Decode pages as the other clients do, and keep it all, for a while."""
    return decode_and_keep(job, json.loads)
