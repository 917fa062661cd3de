"""Server: the state of a Redis server as a process knows it, and the meaning of errors."""

from __future__ import annotations

import logging
import math
import re
import threading
import time
from typing import TYPE_CHECKING, Literal
from weakref import WeakValueDictionary

import attrs
from redis.exceptions import (
    ClusterDownError,
    ConnectionError,  # noqa: A004 - redis-py's
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TimeoutError,  # noqa: A004 - redis-py's
    TryAgainError,
)

from digitalocean_projects._process import call_in_child

if TYPE_CHECKING:
    from .location import Address

Policy = Literal["share", "fail", "open"]

_logger = logging.getLogger("digitalocean_projects")

SECONDS_BETWEEN_LOOKS = 5.0
# These bound the log records about keys that Redis refuses.
_SECONDS_BETWEEN_RECORDS = 3600.0
_MOST_RECORDS = 100

# These mean that the server can't be reached, or accepts no writes at the moment. ConnectionError
# includes a failed login, as after a change of the password or of the master, and the error that
# the sentinels know no master.
_AWAY = (
    ConnectionError,
    TimeoutError,
    ClusterDownError,
    OutOfMemoryError,
    ReadOnlyError,
    TryAgainError,
)
# These codes mean the same, but redis-py has no class for them. Before Redis 7, the error of a
# command in a script follows the position in the script.
_AWAY_CODES = re.compile(
    "(?:^|: -)(?:BUSY|LOADING|MASTERDOWN|MISCONF|NOREPLICAS|OOM|READONLY) ", re.ASCII
)


@attrs.define(eq=False)
class Server:
    """The state of a Redis server, of the server that sentinels name, or of a whole cluster.

    All tokens and event loops of this process share it. So after one call has waited for the
    timeout, the others need not, and each change is logged once.

    Attributes:
        name: The name in the log.
        state: The last known state: "" (working), "away" or "broken".
        reason: The reason why it is unavailable ("away"); empty if it isn't.
        look_at: The `time.monotonic()` from which an unavailable server may be called again.
        refusals: The keys and reasons of the logged refusals, with their times.
        nodes: The nodes, if it is a cluster.
    """

    name: str
    state: Literal["", "away", "broken"] = ""
    reason: str = ""
    look_at: float = -math.inf
    refusals: dict[tuple[str, str], float] = attrs.field(factory=dict)
    nodes: dict[Address, Server] = attrs.field(factory=dict)
    _lock: threading.Lock = attrs.field(factory=threading.Lock, init=False)

    @property
    def is_away(self) -> bool:
        """True if it was unavailable at the last call."""
        return bool(self.reason)

    def rests(self) -> str:
        """Return the reason if it is unavailable and must not be called yet, or an empty text."""
        # Read once, because another thread may change it meanwhile.
        reason = self.reason
        return reason if time.monotonic() < self.look_at else ""

    def lose(self, reason: str, policy: Policy) -> None:
        """Mark the server as unavailable, so that it isn't called for 5 s."""
        with self._lock:
            was, self.state = self.state, "away"
            self.reason, self.look_at = reason, time.monotonic() + SECONDS_BETWEEN_LOOKS
        if was != "away":
            fields = {"do_server": self.name, "do_policy": policy, "do_reason": reason}
            record = (
                "%(do_server)s is unavailable, limits are not shared (%(do_policy)s): %(do_reason)s"
            )
            _logger.warning(record, fields, extra=fields)

    def fail(self, reason: str) -> None:
        """Mark the server as broken: it responds, but the limits can't be shared."""
        with self._lock:
            was, self.state, self.reason = self.state, "broken", ""
        if was != "broken":
            fields = {"do_server": self.name, "do_reason": reason}
            record = "%(do_server)s can't share the limits, so requests fail: %(do_reason)s"
            _logger.error(record, fields, extra=fields)

    def refuse(self, key: str, reason: str) -> None:
        """Log the refusal of a key: once an hour for each reason, and 100 times an hour in all."""
        now = time.monotonic()
        with self._lock:
            for refusal, at in list(self.refusals.items()):
                if now - at >= _SECONDS_BETWEEN_RECORDS:
                    del self.refusals[refusal]
            if (key, reason) in self.refusals or len(self.refusals) >= _MOST_RECORDS:
                return
            self.refusals[key, reason] = now
        fields = {"do_server": self.name, "do_key": key, "do_reason": reason}
        record = "%(do_server)s refuses key %(do_key)s, so its requests fail: %(do_reason)s"
        _logger.error(record, fields, extra=fields)

    def find(self) -> None:
        """Mark the server as working."""
        with self._lock:
            was, self.state, self.reason = self.state, "", ""
        if was:
            record = "%(do_server)s is back, limits are shared again"
            fields = {"do_server": self.name}
            _logger.info(record, fields, extra=fields)


class _Servers:
    """The states of all servers that this process uses."""

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Forget all servers. A forked process calls this: its parent may hold their locks."""
        self._lock = threading.Lock()
        self._known: WeakValueDictionary[str, Server] = WeakValueDictionary()

    def find(self, url: str, address: Address | None) -> Server:
        with self._lock:
            server = self._known.setdefault(url, Server("Redis"))
            if address is None:
                return server
            return server.nodes.setdefault(address, Server("Redis at {}:{}".format(*address)))


_servers = _Servers()
call_in_child(_Servers.begin, _servers)


def known_server(url: str, address: Address | None = None) -> Server:
    """Return the process's knowledge of the server at a URL, or of a node of that cluster."""
    return _servers.find(url, address)


def means_away(error: Exception) -> bool:
    """Return True if an error means that Redis can't be reached, or accepts no writes now."""
    if isinstance(error, ResponseError) and _AWAY_CODES.search(str(error)):
        return True
    return isinstance(error, _AWAY) and fault(error) is error


def fault(error: Exception) -> BaseException:
    """Return the cause of an error, since redis-py turns all errors on connect into its own one."""
    cause = error.__cause__
    return error if cause is None or isinstance(cause, (OSError, EOFError, RedisError)) else cause
