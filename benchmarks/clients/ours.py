"""This package, async."""

import subprocess
import sys
from contextlib import closing
from http.client import HTTPConnection

from benchmarks.job import PROJECT, Job, urns
from digitalocean_projects import AsyncClient, AsyncPaginator, Limits, Resource, TokenBucket

# With the API's own limits, waiting for them would be all that is measured.
NEVER_BINDING = Limits(windows=((10**9, 60.0), (10**9, 3600.0)))


def _client(job: Job, limits: Limits | None = None) -> AsyncClient:
    return AsyncClient("t", base_url=job.url, limits=limits)


def _list(client: AsyncClient, job: Job) -> AsyncPaginator[Resource]:
    return client.projects.list_resources(
        PROJECT, per_page=job.per_page, concurrency=job.concurrency
    )


async def collect(job: Job) -> list[Resource]:
    async with _client(job) as client:
        return await _list(client, job).collect()


async def keep(job: Job) -> list[Resource]:
    """Collect, and read what a first use may compute and keep."""
    resources = await collect(job)
    assert all(resource.urn and resource.assigned_at for resource in resources)
    return resources


async def iterate(job: Job) -> int:
    seen = 0
    async with _client(job) as client:
        async for _ in _list(client, job):
            seen += 1
    return seen


async def get(job: Job) -> list[str]:
    async with _client(job) as client:
        return [(await client.projects.get(PROJECT)).id for _ in range(job.count)]


async def page(job: Job) -> list[int]:
    async with _client(job, NEVER_BINDING) as client:
        return [len((await _list(client, job).first_page()).items) for _ in range(job.count)]


async def assign(job: Job) -> list[Resource]:
    async with _client(job) as client:
        return list((await client.projects.assign_resources(PROJECT, urns(job.count))).done)


async def lease(job: Job) -> int:
    return await _lease(TokenBucket(NEVER_BINDING), job)


async def lease_through_redis(job: Job) -> int:
    # An extra, and modules that older versions lack.
    from digitalocean_projects._clock import SYSTEM_CLOCK  # noqa: PLC0415
    from digitalocean_projects._limiter.shared import shared_bucket  # noqa: PLC0415
    from digitalocean_projects.contrib.redis import RedisLimits  # noqa: PLC0415

    limits = RedisLimits(job.redis, windows=NEVER_BINDING.windows)
    bucket = shared_bucket(limits, SYSTEM_CLOCK, base_url=job.url, token="t", user=job)
    return await _lease(bucket, job)


async def _lease(bucket: TokenBucket, job: Job) -> int:
    before = bucket.statistics().granted
    for _ in range(job.count):
        async with bucket.lease() as lease:
            lease.settle()
    return bucket.statistics().granted - before


def emulator(_: Job) -> int:
    """Start the emulator, and wait for its first answer."""
    command = [sys.executable, "-m", "digitalocean_projects", "emulator"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        assert process.stdout is not None
        # The line is export DIGITALOCEAN_API_URL=http://127.0.0.1:8000.
        address = process.stdout.readline().decode().rpartition("/")[2].strip()
        with closing(HTTPConnection(address)) as connection:
            connection.request("GET", "/v2/projects")
            return int(connection.getresponse().status > 0)
    finally:
        process.kill()
        process.communicate()
