"""The floor: aiohttp and orjson, to plain dicts, without retries, limits, errors or types."""

import asyncio
from functools import partial
from typing import Any

import orjson
from aiohttp import ClientSession, DummyCookieJar
from yarl import URL

from benchmarks.job import PROJECT, Job, chunks, collect_pages

_HEADERS = {"Authorization": "Bearer t", "Content-Type": "application/json"}


def _session() -> ClientSession:
    return ClientSession(headers=_HEADERS, cookie_jar=DummyCookieJar())


async def _load(session: ClientSession, url: str) -> Any:
    async with session.get(URL(url, encoded=True)) as response:
        return orjson.loads(await response.read())


async def _load_page(session: ClientSession, job: Job, number: int) -> Any:
    query = f"page={number}&per_page={job.per_page}"
    return await _load(session, f"{job.url}/v2/projects/{PROJECT}/resources?{query}")


async def collect(job: Job) -> list[Any]:
    async with _session() as session:
        return await collect_pages(partial(_load_page, session, job), job)


async def get(job: Job) -> list[Any]:
    url = f"{job.url}/v2/projects/{PROJECT}"
    async with _session() as session:
        return [(await _load(session, url))["project"]["id"] for _ in range(job.count)]


async def page(job: Job) -> list[int]:
    async with _session() as session:
        return [len((await _load_page(session, job, 1))["resources"]) for _ in range(job.count)]


async def assign(job: Job) -> list[Any]:
    done = []
    url = URL(f"{job.url}/v2/projects/{PROJECT}/resources", encoded=True)
    async with _session() as session:
        for chunk in chunks(job):
            async with session.post(url, data=orjson.dumps({"resources": chunk})) as response:
                done += orjson.loads(await response.read())["resources"]
    return done


async def lease(job: Job) -> int:
    semaphore = asyncio.Semaphore()
    for _ in range(job.count):
        async with semaphore:
            pass
    return job.count
