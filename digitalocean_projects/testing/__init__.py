"""A local emulator of the API, for tests of code that calls it."""

from __future__ import annotations

from digitalocean_projects._public import publish

from . import faults
from ._account import StoredProject
from ._clock import MockClock
from ._demo import seed_demo
from ._emulator import Emulator
from ._recording import RecordedRequest

__all__ = [
    "Emulator",
    "MockClock",
    "RecordedRequest",
    "StoredProject",
    "faults",
    "seed_demo",
]

publish(globals(), __name__)
