"""Tokens and passwords of the extras, and tracebacks with local variables."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Any

import pytest
from fastapi import HTTPException

from digitalocean_projects import AsyncClient, Client, ClientUsageError
from digitalocean_projects.contrib.fastapi import async_client_for, client_for
from digitalocean_projects.contrib.redis import RedisLimits, RedisUnavailableError
from tests.exposure import exposed

if TYPE_CHECKING:
    from collections.abc import Callable

    from digitalocean_projects.testing import Emulator

pytestmark = pytest.mark.usefixtures("no_leaks")

SECRET = "dop_v1_5ec2e7"  # noqa: S105 - of nobody


@pytest.mark.parametrize(
    ("client_class", "dependency"), [(AsyncClient, async_client_for), (Client, client_for)]
)
@pytest.mark.parametrize("token", [f"{SECRET}\n", f"dor_v1_{SECRET}", [SECRET]])
@pytest.mark.parametrize(
    ("from_caller", "error_class"), [(True, HTTPException), (False, ClientUsageError)]
)
def test_tenants_token(
    client_class: Callable[..., Any],
    dependency: Callable[..., Any],
    token: Any,
    error_class: type[Exception],
    *,
    from_caller: bool,
) -> None:
    """The error for an invalid token of a tenant shows no part of it."""
    with pytest.raises(error_class) as caught:
        asyncio.run(dependency(lambda: None, from_caller=from_caller)(client_class("x"), token))
    assert not any(SECRET in text for text in exposed(caught.value))


@pytest.mark.parametrize("password", [SECRET, "s3cret", "%22p%5Ca%22"])
def test_redis_without_connection(emulator: Emulator, password: str) -> None:
    """If Redis can't be reached, nothing shows the password in its URL."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        url = "redis://user:{}@{}:{}".format(password, *sock.getsockname())
        limits = RedisLimits(url, on_unavailable="fail")
        with (
            Client(emulator.token, base_url=emulator.url, limits=limits) as client,
            pytest.raises(RedisUnavailableError) as caught,
        ):
            client.projects.list().first_page()
    shown = list(exposed(caught.value))
    assert [] == [text for text in shown if password in text or r'"p\a"' in text]
