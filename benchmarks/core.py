"""CPU cores: one for the server, another one for whom is measured."""

from __future__ import annotations

import os

SERVER, CONTESTANT = -1, 0


def keep_to(place: int) -> None:
    """Have this process run on one core, where a system lets one choose, and there are two."""
    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        if len(cores) > 1:
            os.sched_setaffinity(0, {cores[place]})
