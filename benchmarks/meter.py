"""What a piece of work costs the process that does it."""

from __future__ import annotations

import gc
import re
import resource
import sys
from contextlib import suppress
from pathlib import Path
from time import perf_counter, process_time
from typing import Self

import attrs

_STATUS = Path("/proc/self/status")


@attrs.define(eq=False)
class Meter:
    """Measures the body of a `with` block.

    Attributes:
        wall: Seconds that passed.
        cpu: Seconds of CPU that the process took, in all its threads.
        memory: Bytes by which its memory grew at the peak; what it had free before isn't seen.
        peak: Bytes of memory that it had at the peak, with all that it had loaded.
    """

    wall: float = 0.0
    cpu: float = 0.0
    memory: int = 0
    peak: int = 0

    def __enter__(self) -> Self:
        # Else what the imports left is collected amid the work.
        gc.collect()
        _forget_peak()
        self.memory = -_memory("VmRSS")
        self.wall, self.cpu = -perf_counter(), -process_time()
        return self

    def __exit__(self, *_: object) -> None:
        self.wall += perf_counter()
        self.cpu += process_time()
        self.peak = _memory("VmHWM")
        self.memory += self.peak


def _forget_peak() -> None:
    """Have the peak begin anew, where there is a way to."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", "ascii")


def _memory(name: str) -> int:
    """Bytes, now or at the peak; where a system tells only of the peak, that."""
    with suppress(OSError):
        found = re.search(rf"{name}:\s*(\d+) kB", _STATUS.read_text("ascii"))
        assert found is not None
        return int(found[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
