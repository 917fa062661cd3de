"""This package, awaited."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from benchmarks.account import PROJECT, urn
from digitalocean_projects import AsyncClient, Limits, Resource, TokenBucket
from digitalocean_projects._codec.json import decode_page

from .floor import THREADS, bodies

if TYPE_CHECKING:
    from benchmarks.job import Job

# What the API takes is less than what is measured here.
NEVER_BINDING = Limits(windows=((10**9, 60.0), (10**9, 3600.0)))


def _client(job: Job, limits: Limits | None = None) -> AsyncClient:
    return AsyncClient("t", base_url=job.url, limits=limits)


async def collect(job: Job, limits: Limits | None = None, **options: int) -> list[Resource]:
    """List all."""
    async with _client(job, limits) as client:
        resources = client.projects.list_resources(PROJECT, per_page=job.per_page, **options)
        return await resources.collect()


async def collect_wider(job: Job) -> list[Resource]:
    """List all, with twice as many requests under way as there are by default."""
    return await collect(job, concurrency=32)


async def collect_limited(job: Job) -> list[Resource]:
    """List all, with limits that hold nothing up."""
    return await collect(job, NEVER_BINDING)


async def iterate(job: Job) -> int:
    """Look at all, and keep none."""
    seen = 0
    async with _client(job) as client:
        async for _ in client.projects.list_resources(PROJECT, per_page=job.per_page):
            seen += 1
    return seen


async def read_ahead(job: Job) -> int:
    """Look at all, and keep none, with the next pages under way."""
    seen = 0
    client = _client(job)
    resources = client.projects.list_resources(PROJECT, per_page=job.per_page)
    async with client, resources:
        async for _ in resources:
            seen += 1
    return seen


async def get(job: Job) -> int:
    """Ask for a project many times, one after the other."""
    right = 0
    async with _client(job) as client:
        for _ in range(job.count):
            project = await client.projects.get(PROJECT)
            right += project.id == PROJECT
    return right


async def assign(job: Job) -> list[Resource]:
    """Assign many."""
    async with _client(job) as client:
        result = await client.projects.assign_resources(PROJECT, map(urn, range(job.count)))
    return list(result.done)


async def many(job: Job) -> list[Resource]:
    """List all in several tasks at the same time."""
    async with _client(job) as client:
        listings = await asyncio.gather(
            *(client.projects.list_resources(PROJECT).collect() for _ in range(THREADS))
        )
    return [resource for listing in listings for resource in listing]


def decode_and_drop(job: Job) -> int:
    """Decode pages, and keep nothing."""
    return sum(
        len(decode_page(body, Resource).items) for _ in range(job.count) for body in bodies()
    )


def decode_and_keep(job: Job) -> int:
    """Decode pages, and keep it all, for a while."""
    seen = 0
    for _ in range(job.count):
        kept = []
        for body in bodies():
            kept += decode_page(body, Resource).items
        seen += len(kept)
    return seen


async def acquire(job: Job) -> int:
    """Take tokens, one after the other, and know each time that the answer is here."""
    return await _acquire(TokenBucket(NEVER_BINDING), job.count)


async def acquire_shared(job: Job) -> int:
    """The same of a bucket that all workers share."""
    from digitalocean_projects.contrib.redis import RedisLimits  # noqa: PLC0415
    from digitalocean_projects.contrib.redis.bucket import redis_bucket  # noqa: PLC0415

    limits = RedisLimits(job.origin, windows=NEVER_BINDING.windows)
    return await _acquire(redis_bucket(limits, "benchmark"), job.count)


async def _acquire(bucket: TokenBucket, count: int) -> int:
    for _ in range(count):
        async with bucket.lease() as lease:
            lease.settle()
    return bucket.statistics().granted
