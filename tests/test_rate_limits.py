"""Rate limits with real clients, and an emulator that refuses like the API."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from digitalocean_projects import AsyncClient, Client, Limits
from digitalocean_projects.testing import Emulator, MockClock

# The API's minute, and a shorter second window.
WINDOWS = ((250, 60.0), (1000, 600.0))


@pytest.mark.slow
@pytest.mark.anyio
@pytest.mark.usefixtures("no_leaks")
async def test_no_refusal() -> None:
    """1,175 requests of two clients are never refused, and take at most 3 % over the optimum."""
    # While a request takes longer than the threshold, the clock jumps, up to the end of that
    # request's lease: then later requests would start too early.
    clock = MockClock(rate=1.0, autojump_threshold=1.0)
    with Emulator(clock=clock, limits=WINDOWS) as emulator:
        options: dict[str, Any] = {
            "base_url": emulator.url,
            "clock": clock,
            "limits": Limits(windows=WINDOWS),
        }
        with Client(emulator.token, **options) as blocking:
            async with AsyncClient(emulator.token, **options) as client:

                async def ask() -> None:
                    for _ in range(25):
                        await client.projects.list_resources().first_page()

                def ask_blocking() -> None:
                    for _ in range(75):
                        blocking.projects.list_resources().first_page()

                await asyncio.gather(
                    *(ask() for _ in range(35)), *(asyncio.to_thread(ask_blocking) for _ in "1234")
                )
                bucket = client.statistics().bucket
        assert bucket is not None
        assert (1175, 1175, 0) == (len(emulator.requests), bucket.granted, bucket.refused)
    # 1,000 in the first of the longer windows, 175 in the second.
    optimum = 600
    assert optimum < clock.time() < optimum * 1.03
