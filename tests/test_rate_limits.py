"""The limits through real clients, and an emulator that refuses as the API does."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from digitalocean_projects import AsyncClient, Client
from digitalocean_projects.testing import Emulator, MockClock


@pytest.mark.anyio
@pytest.mark.usefixtures("no_leaks")
async def test_no_refusal() -> None:
    """12,000 requests of two clients are never refused, and take 3 % over the optimum at most."""
    clock = MockClock(rate=10.0, autojump_threshold=0.05)
    with Emulator(clock=clock, keep_requests=20_000) as emulator:
        options: dict[str, Any] = {"base_url": emulator.url, "clock": clock}
        with Client(emulator.token, **options) as blocking:
            async with AsyncClient(emulator.token, **options) as client:

                async def ask() -> None:
                    for _ in range(190):
                        await client.projects.list_resources().first_page()

                def ask_blocking() -> None:
                    for _ in range(150):
                        blocking.projects.list_resources().first_page()

                await asyncio.gather(
                    *(ask() for _ in range(60)), *(asyncio.to_thread(ask_blocking) for _ in "1234")
                )
                bucket = client.statistics().bucket
        assert bucket is not None
        assert (12_000, 12_000, 0) == (len(emulator.requests), bucket.granted, bucket.refused)
    # 5,000 in each of the first two hours, and 2,000 more at 250 a minute, the first at once.
    optimum = 2 * 3600 + (2000 // 250 - 1) * 60
    assert optimum < clock.time() < optimum * 1.03
