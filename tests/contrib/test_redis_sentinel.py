"""Limits that are shared through the server that a real sentinel names."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from digitalocean_projects import RateLimitWaitError
from digitalocean_projects.contrib.redis import RedisLimits, RedisUnavailableError
from digitalocean_projects.contrib.redis import server as _redis_server
from digitalocean_projects.contrib.redis.bucket import RedisBucket
from tests.contrib.conftest import Server, free_ports, told, use, wait_until
from tests.exposure import exposed

if TYPE_CHECKING:
    from collections.abc import Iterator

    MakeBucket = Any

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_leaks")]

SENTINEL = """
sentinel monitor limits 127.0.0.1 {port} 1
sentinel down-after-milliseconds limits 200
sentinel failover-timeout limits 2000
sentinel auth-pass limits data-pass
requirepass sentinel-pass
"""
AUTH = ["--requirepass", "data-pass", "--masterauth", "data-pass"]


class Sentinel:
    """A sentinel, a master with a password, and a replica of it."""

    def __init__(self, folder: str) -> None:
        ports = free_ports(3)
        paths = [Path(folder) / name for name in ("master", "replica", "sentinel")]
        for path in paths:
            path.mkdir()
        self.master = Server(str(paths[0]), ports[0], *AUTH)
        self.replica = Server(
            str(paths[1]), ports[1], *AUTH, "--replicaof", "127.0.0.1", str(ports[0])
        )
        config = paths[2] / "sentinel.conf"
        config.write_text(SENTINEL.format(port=ports[0]), "utf-8")
        self.watcher = Server(str(paths[2]), ports[2], config=str(config))
        self.servers = [self.master, self.replica, self.watcher]
        self.address = f"127.0.0.1:{ports[2]}"
        self.options = "?sentinel_password=sentinel-pass"
        self.url = f"redis+sentinel://:data-pass@{self.address}/limits{self.options}"
