"""aiolimiter, a limiter for asyncio that many use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiolimiter import AsyncLimiter

if TYPE_CHECKING:
    from benchmarks.job import Job


async def acquire(job: Job) -> int:
    """Take tokens, one after the other."""
    limiter = AsyncLimiter(10**9, 60.0)
    for _ in range(job.count):
        async with limiter:
            pass
    return job.count
