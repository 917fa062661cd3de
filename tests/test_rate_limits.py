"""The limits through real clients, and an emulator that refuses as the API does."""

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
    """2,400 requests of two clients are never refused, and take 3 % over the optimum at most."""
    clock = MockClock(rate=10.0, autojump_threshold=0.05)
    with Emulator(clock=clock, limits=WINDOWS) as emulator:
        options: dict[str, Any] = {
            "base_url": emulator.url,
            "clock": clock,
            "limits": Limits(windows=WINDOWS),
        }
        with Client(emulator.token, **options) as blocking:
            async with AsyncClient(emulator.token, **options) as client:

                async def ask() -> None:
                    for _ in range(50):
                        await client.projects.list_resources().first_page()

                def ask_blocking() -> None:
                    for _ in range(100):
                        blocking.projects.list_resources().first_page()

                await asyncio.gather(
                    *(ask() for _ in range(40)), *(asyncio.to_thread(ask_blocking) for _ in "1234")
                )
                bucket = client.statistics().bucket
        assert bucket is not None
        assert (2400, 2400, 0) == (len(emulator.requests), bucket.granted, bucket.refused)
    # 1,000 in each of the first two of the longer windows, then 250, and 150 a minute later.
    optimum = 2 * 600 + 60
    assert optimum < clock.time() < optimum * 1.03
