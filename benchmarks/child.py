"""A fresh process in which one client does one job; it prints the costs as JSON.

python -m benchmarks.child ours.collect '{"origin": "http://127.0.0.1:8000", "total": 1000}'
"""

import asyncio
import gc
import inspect
import json
import re
import sys
from importlib import import_module
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

from .job import Job


def do(call: str, job: Job) -> tuple[Any, dict[str, float]]:
    """Do a small job, and then this one; return its result and costs.

    The costs are `wall` and `cpu` time in seconds, and on Linux, the `peak` of the process' memory
    and its `growth` in MiB.
    """
    module, _, name = call.partition(".")
    function = getattr(import_module(f"benchmarks.clients.{module}"), name)
    with asyncio.Runner() as loop:
        is_async = inspect.iscoroutinefunction(function)
        perform = (lambda job: loop.run(function(job))) if is_async else function
        perform(job.first)
        # Otherwise the garbage of the imports is collected during the job.
        gc.collect()
        peak, wall, cpu = _peak(), perf_counter(), process_time()
        result = perform(job)
        costs = {"wall": perf_counter() - wall, "cpu": process_time() - cpu}
    return result, costs | {"peak": _peak(), "growth": _peak() - peak}


def _peak() -> float:
    """Return the most memory that the process has had in MiB, and 0 if the system isn't Linux."""
    if sys.platform != "linux":
        return 0.0
    found = re.search(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text("ascii"))
    return int(found[1]) / 1024 if found else 0.0


if __name__ == "__main__":
    result, costs = do(sys.argv[1], Job(**json.loads(sys.argv[2])))
    print(json.dumps({"done": result if isinstance(result, int) else len(result), **costs}))
