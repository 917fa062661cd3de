"""aiolimiter, a widely used limiter for asyncio."""

from aiolimiter import AsyncLimiter

from benchmarks.job import Job


async def lease(job: Job) -> int:
    limiter = AsyncLimiter(10**9, 60.0)
    for _ in range(job.count):
        async with limiter:
            pass
    return job.count
