"""A local emulator of the API, for the tests of whatever talks to it."""

from __future__ import annotations

from ._demo import seed_demo
from ._emulator import Emulator
from ._recording import RecordedRequest

__all__ = ["Emulator", "RecordedRequest", "seed_demo"]
