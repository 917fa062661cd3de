"""A contestant, in a process of its own: does a job, and prints what it cost as JSON.

python -m benchmarks.contestant '{"call": "ours:collect", "origin": …, "total": 1000}'
"""

from __future__ import annotations

import asyncio
import inspect
import json
import sys
import zlib
from importlib import import_module
from typing import TYPE_CHECKING, Any

import attrs

from .core import CONTESTANT, keep_to
from .job import Job
from .meter import Meter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


def perform(job: Job) -> dict[str, float]:
    """Do the job, and tell what it cost and what came of it."""
    module, _, name = job.call.partition(":")
    function = getattr(import_module(f".contestants.{module}", __package__), name)
    meter = Meter()
    if inspect.iscoroutinefunction(function):
        result = asyncio.run(_perform(function, job, meter))
    else:
        function(job.first)
        with meter:
            result = function(job)
    return {**attrs.asdict(meter), **_told(result)}


async def _perform(function: Callable[[Job], Any], job: Job, meter: Meter) -> Any:
    await function(job.first)
    with meter:
        return await function(job)


def _told(result: int | Iterable[Any]) -> dict[str, float]:
    """How much came of it, and a checksum of the names."""
    if isinstance(result, int):
        return {"count": result, "checksum": 0}
    names = [_name(item) for item in result]
    return {"count": len(names), "checksum": zlib.crc32("\n".join(names).encode())}


def _name(item: Any) -> str:
    if isinstance(item, str):
        return item
    return str(item["urn"] if isinstance(item, dict) else item.urn)


if __name__ == "__main__":
    keep_to(CONTESTANT)
    print(json.dumps(perform(Job(**json.loads(sys.argv[1])))))
