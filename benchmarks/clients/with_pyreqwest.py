"""pyreqwest, a client in Rust, and orjson, to plain dicts, at the floor's concurrency."""

from functools import partial
from typing import Any

import orjson
from pyreqwest.client import Client, ClientBuilder

from benchmarks.job import PROJECT, Job, chunks, collect_pages

_HEADERS = {"Authorization": "Bearer t", "Content-Type": "application/json"}


def _client() -> Client:
    return ClientBuilder().default_headers(_HEADERS).no_proxy().build()


async def _load(client: Client, url: str) -> Any:
    response = await client.get(url).build().send()
    return orjson.loads(memoryview(await response.bytes()))


async def _load_page(client: Client, job: Job, number: int) -> Any:
    query = f"page={number}&per_page={job.per_page}"
    return await _load(client, f"{job.url}/v2/projects/{PROJECT}/resources?{query}")


async def collect(job: Job) -> list[Any]:
    async with _client() as client:
        return await collect_pages(partial(_load_page, client, job), job)


async def get(job: Job) -> list[Any]:
    url = f"{job.url}/v2/projects/{PROJECT}"
    async with _client() as client:
        return [(await _load(client, url))["project"]["id"] for _ in range(job.count)]


async def page(job: Job) -> list[int]:
    async with _client() as client:
        return [len((await _load_page(client, job, 1))["resources"]) for _ in range(job.count)]


async def assign(job: Job) -> list[Any]:
    done = []
    url = f"{job.url}/v2/projects/{PROJECT}/resources"
    async with _client() as client:
        for chunk in chunks(job):
            body = orjson.dumps({"resources": chunk})
            response = await client.post(url).body_bytes(body).build().send()
            done += orjson.loads(memoryview(await response.bytes()))["resources"]
    return done
