"""A fresh process in which one client does one job; it prints the costs as JSON.

python -m benchmarks.child ours.collect '{"origin": "http://127.0.0.1:8000", "total": 1000}'
"""

import asyncio
import gc
import inspect
import json
import os
import resource
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from importlib import import_module
from time import perf_counter
from typing import Any

from .job import Job


def do(call: str, job: Job, *, counting: bool = False) -> tuple[Any, dict[str, float]]:
    """Do a small job, and then this one; return its result and costs.

    The costs are `wall` and `cpu` time in seconds, also of processes that the job ends, and the
    memory of the result in MiB if it is `kept`.
    """
    module, _, name = call.partition(".")
    function = getattr(import_module(f"benchmarks.clients.{module}"), name)
    with asyncio.Runner() as loop:
        is_async = inspect.iscoroutinefunction(function)
        perform = (lambda job: loop.run(function(job))) if is_async else function
        perform(job.first)
        # Otherwise the garbage of the imports is collected during the job.
        gc.collect()
        if job.kept:
            tracemalloc.start()
        with _instrumented() if counting else nullcontext():
            wall, cpu = perf_counter(), _cpu()
            result = perform(job)
            costs = {"wall": perf_counter() - wall, "cpu": _cpu() - cpu}
        if job.kept:
            gc.collect()
            costs["kept"] = tracemalloc.get_traced_memory()[0] / 2**20
            tracemalloc.stop()
    return result, costs


def _cpu() -> float:
    used = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


@contextmanager
def _instrumented() -> Iterator[None]:
    """Make valgrind, which runs this process, count the instructions of the `with` block only."""
    command = ["vgdb", f"--pid={os.getpid()}", "instrumentation"]
    subprocess.run([*command, "on"], check=True, capture_output=True)
    yield
    subprocess.run([*command, "off"], check=True, capture_output=True)


if __name__ == "__main__":
    name, arguments, *options = sys.argv[1:]
    result, costs = do(name, Job(**json.loads(arguments)), counting="--count" in options)
    print(json.dumps({"done": result if isinstance(result, int) else len(result), **costs}))
