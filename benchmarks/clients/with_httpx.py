"""httpx and orjson, to plain dicts, at the floor's concurrency."""

from functools import partial
from typing import Any

import httpx
import orjson

from benchmarks.job import PROJECT, Job, chunks, collect_pages

_PATH = f"/v2/projects/{PROJECT}"
_HEADERS = {"Authorization": "Bearer t", "Content-Type": "application/json"}


def _client(job: Job) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=job.url, headers=_HEADERS, trust_env=False)


async def _load_page(client: httpx.AsyncClient, job: Job, number: int) -> Any:
    query = {"page": number, "per_page": job.per_page}
    return orjson.loads((await client.get(f"{_PATH}/resources", params=query)).content)


async def collect(job: Job) -> list[Any]:
    async with _client(job) as client:
        return await collect_pages(partial(_load_page, client, job), job)


async def get(job: Job) -> list[Any]:
    async with _client(job) as client:
        answers = [(await client.get(_PATH)).content for _ in range(job.count)]
    return [orjson.loads(answer)["project"]["id"] for answer in answers]


async def assign(job: Job) -> list[Any]:
    done = []
    async with _client(job) as client:
        for chunk in chunks(job):
            body = orjson.dumps({"resources": chunk})
            response = await client.post(f"{_PATH}/resources", content=body)
            done += orjson.loads(response.content)["resources"]
    return done
