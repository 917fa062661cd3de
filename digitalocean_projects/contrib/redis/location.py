"""Location: the Redis server, cluster or sentinels at a URL, and pools of connections to them."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, Literal, TypeAlias
from urllib.parse import unquote, urlsplit

import attrs
from redis.asyncio import ConnectionPool, Redis
from redis.asyncio.connection import SSLConnection, parse_url
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel, SentinelConnectionPool
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from digitalocean_projects._messages import Secret

if TYPE_CHECKING:
    from collections.abc import Mapping

    from redis.asyncio import Connection

Address: TypeAlias = tuple[str, int]

_SOCKET_SECONDS = 1.0
_OF_SENTINELS = "sentinel_"


@attrs.frozen(kw_only=True, eq=False)
class Location:
    """The Redis server, cluster or sentinels at a URL.

    Attributes:
        kind: One server, a cluster, or sentinels that name a server.
        addresses: The addresses of nodes of the cluster, or of sentinels.
        service: The sentinels' name of the server.
        options: redis-py's options for a connection to a server.
        sentinel_options: redis-py's options for a connection to a sentinel.
    """

    kind: Literal["server", "cluster", "sentinel"]
    addresses: tuple[Address, ...] = ()
    service: str = ""
    options: Mapping[str, Any] = attrs.field(repr=False)
    sentinel_options: Mapping[str, Any] = attrs.field(factory=dict, repr=False)

    @classmethod
    def of_url(cls, url: str) -> Location:
        """Return the location that a URL names.

        Raises:
            ValueError: The URL is invalid, or redis-py refuses its options. The message and its
                context do not quote the URL, which may hold a password.
        """
        with suppress(AttributeError, KeyError, RedisError, TypeError, ValueError):
            location = _located(Secret(url))
            location.pool().make_connection()
            return location
        raise ValueError(
            "url must be a redis://, rediss:// or unix:// URL for redis-py's from_url,"
            " redis+cluster://HOST:PORT,… or redis+sentinel://HOST:PORT,…/SERVICE/DB"
        )

    @property
    def secrets(self) -> tuple[str, ...]:
        """The passwords, which no message may show."""
        options = [*self.options.items(), *self.sentinel_options.items()]
        return tuple(Secret(value) for name, value in options if "password" in name)

    def pool(self, address: Address | None = None) -> Pool:
        """Return a new pool of connections.

        Args:
            address: The address of a node of a cluster; None takes the first one.
        """
        # One timeout makes Redis unavailable. redis-py's own retries would take 4 to 20 s.
        limits: dict[str, Any] = {
            "protocol": 2,
            "socket_timeout": _SOCKET_SECONDS,
            "socket_connect_timeout": _SOCKET_SECONDS,
            "retry": Retry(NoBackoff(), 0),
        }
        if self.kind == "sentinel":
            of_sentinels = {**limits, **self.sentinel_options}
            sentinels = Sentinel([])  # type: ignore[no-untyped-call]  # redis-py's
            sentinels.sentinels = [
                _SentinelClient(host=host, port=port, **of_sentinels)
                for host, port in self.addresses
            ]
            options = {**limits, **self.options}
            return _SentinelPool(self.service, sentinels, **options)  # type: ignore[no-untyped-call]  # redis-py's
        if self.kind == "cluster":
            limits["host"], limits["port"] = address or self.addresses[0]
        return Pool(**{**limits, **self.options})


def _located(url: Secret) -> Location:
    scheme, _, rest = url.partition("://")
    protocol, _, kind = scheme.lower().partition("+")
    if not kind:
        return Location(kind="server", options=_options(url))
    rest, mark, query = rest.partition("?")
    authority, _, path = rest.partition("/")
    login, at, hosts = authority.rpartition("@")
    service, _, database = path.partition("/") if kind == "sentinel" else ("", "", path)
    if database.strip("0123456789"):
        raise ValueError("a database must be a number")
    addresses = []
    for host in hosts.split(","):
        options = _options(Secret(f"{protocol}://{login}{at}{host}/{database}{mark}{query}"))
        port = 26379 if kind == "sentinel" else 6379
        addresses.append((options.pop("host"), int(options.pop("port", port))))
    if kind == "sentinel" and service:
        return _behind_sentinels(tuple(addresses), unquote(str(service)), options)
    if kind == "cluster" and not options.get("db"):
        return Location(kind="cluster", addresses=tuple(addresses), options=options)
    raise ValueError("a service has a name, and a cluster has no database but 0")


def _options(url: Secret) -> dict[str, Any]:
    if urlsplit(url).port == 0:
        raise ValueError("redis-py would take the port for one that is missing")
    return dict(parse_url(str(url)))


def _behind_sentinels(
    addresses: tuple[Address, ...], service: str, options: dict[str, Any]
) -> Location:
    if options.pop("connection_class", None) is SSLConnection:
        options["ssl"] = True
    of_sentinels = {
        name.removeprefix(_OF_SENTINELS): options.pop(name)
        for name in list(options)
        if name.startswith(_OF_SENTINELS)
    }
    shared = {name: options[name] for name in options if name.startswith(("socket_", "ssl"))}
    return Location(
        kind="sentinel",
        addresses=addresses,
        service=service,
        options=options,
        sentinel_options={**shared, **of_sentinels},
    )


class Pool(ConnectionPool):
    """A pool that counts the connections that it has made.

    It doesn't use `redis_connect_func`, with which redis-py calls a function that Python 3.14
    deprecates.
    """

    made: int = 0

    def make_connection(self) -> Connection:  # noqa: D102 - redis-py's
        connection: Connection = super().make_connection()  # type: ignore[no-untyped-call]  # redis-py's
        connection.register_connect_callback(self._count)  # type: ignore[no-untyped-call]  # as that
        return connection

    def _count(self, _: Connection) -> None:
        self.made += 1


class _SentinelClient(Redis):
    """A client of a sentinel, whose `repr` is its address: redis-py's errors show it."""

    def __repr__(self) -> str:
        return "{host}:{port}".format_map(self.connection_pool.connection_kwargs)


class _SentinelPool(Pool, SentinelConnectionPool):
    """A pool of connections to the server that sentinels name.

    Each new connection asks the sentinels. A disconnection closes those to the sentinels, too.
    """

    async def disconnect(self, inuse_connections: bool = True) -> None:  # noqa: FBT001, FBT002 - redis-py's
        await super().disconnect(inuse_connections)
        for sentinel in self.sentinel_manager.sentinels:
            await sentinel.connection_pool.disconnect(inuse_connections)
