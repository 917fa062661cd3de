"""Config: the client's settings, their checks and defaults."""

from __future__ import annotations

import math
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from http import HTTPStatus
from ipaddress import ip_address
from operator import itemgetter
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import attrs
import backoff

from ._arguments import MOST_SECONDS, checked_count, checked_seconds
from ._clock import Clock
from ._errors import APIConnectionError, APIStatusError, ClientUsageError, ServerError
from ._messages import TOKEN_VARIABLES, Secret, holds_token
from ._public import publish
from ._version import __version__

if TYPE_CHECKING:
    from aiohttp import ClientSession, TraceConfig


@attrs.frozen(kw_only=True)
class Settings:
    """What a client was made with, checked."""

    token: Secret
    base_url: str
    timeout: float
    connect_timeout: float
    max_body: int
    proxy: Secret | None
    user_agent: str
    session_factory: Callable[[], ClientSession] | None
    trace_configs: Sequence[TraceConfig]
    retry: RetryPolicy
    deadline: float | None
    limits: Limits | None
    bulk: bool
    clock: Clock

    def __attrs_post_init__(self) -> None:
        if self.limits is not None:
            self.limits.check_timeout(self.timeout)


def _as_windows(windows: Iterable[tuple[int, float]]) -> tuple[tuple[int, float], ...]:
    checked = tuple(
        (checked_count("a window's capacity", capacity), checked_seconds("a period", period))
        for capacity, period in windows
    )
    if not checked:
        raise ValueError("limits must have at least one window; pass limits=None for no limits")
    return tuple(sorted(checked, key=itemgetter(1)))


def _not_negative(_: object, attribute: attrs.Attribute[Any], value: float) -> None:
    if not 0 <= value <= MOST_SECONDS:
        raise ValueError(f"{attribute.name} is finite and at least 0, not {value}")


@attrs.frozen(kw_only=True)
class Limits:
    """How many requests a client sends at the most.

    https://docs.digitalocean.com/reference/api/reference/#rate-limit

    Args:
        windows: Pairs of a number of requests and the seconds in which no more may be counted.
        margin: The seconds that are added to each period, for clocks that differ.
        grace: The seconds that are added where it is unknown when a request has arrived.
        reserve: How many requests of each window bulk work leaves to the others.

    Raises:
        TypeError: A number of requests is no int.
        ValueError: There is no window, or a number is out of range.
    """

    windows: tuple[tuple[int, float], ...] = attrs.field(
        default=((250, 60.0), (5000, 3600.0)), converter=_as_windows
    )
    margin: float = attrs.field(default=1.0, validator=_not_negative)
    grace: float = attrs.field(default=30.0, validator=_not_negative)
    reserve: int = attrs.field(default=5, validator=_not_negative)

    def check_timeout(self, timeout: float) -> None:
        """Raise a ValueError if a client with this time-out can't have these limits."""


def _at_least(least: float) -> Callable[[Any, Any, Any], None]:
    def check(_: object, attribute: attrs.Attribute[float], value: float) -> None:
        if not least <= value < math.inf:
            raise ValueError(f"{attribute.name} is finite and at least {least}, not {value}")

    return check


def _is_callable(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if not callable(value):
        raise TypeError(f"{attribute.name} must be callable, got {type(value).__name__}")


def _as_frozenset(statuses: Iterable[int]) -> frozenset[int]:
    return frozenset(statuses)


@attrs.frozen(kw_only=True)
class RetryPolicy:
    """When and how often a request is sent again.

    After a failure that may pass, a request waits and is sent again: a connection that failed, a
    time-out, or an answer with one of `statuses`. The wait is drawn from 0 to a ceiling that
    doubles each time ("full jitter"), and is at least what the answer's `Retry-After` asks for.

    Args:
        attempts: How often a request is sent at the most; 1 for never again.
        base_delay: The first ceiling, in seconds.
        max_delay: The highest ceiling, in seconds.
        max_retry_after: The seconds that an answer may ask to wait; if it asks for more, its error
            is raised at once.
        statuses: Which answers are asked again. A 5xx that isn't named counts as 500, but for 501.
        jitter: Returns the seconds to wait for a ceiling in seconds, which is the most that is
            waited, unless `Retry-After` asks for more.

    Raises:
        TypeError: `jitter` is not callable.
        ValueError: A number is out of range.
    """

    attempts: int = attrs.field(default=4, validator=_at_least(1))
    base_delay: float = attrs.field(default=0.5, validator=_at_least(0))
    max_delay: float = attrs.field(default=20.0, validator=_at_least(0))
    max_retry_after: float = attrs.field(default=60.0, validator=_at_least(0))
    statuses: frozenset[int] = attrs.field(
        default=frozenset({408, 429, 500, 502, 503, 504}), converter=_as_frozenset
    )
    jitter: Callable[[float], float] = attrs.field(
        default=backoff.full_jitter, validator=_is_callable
    )

    def covers(self, failure: APIConnectionError | APIStatusError) -> bool:
        """Return whether another attempt may succeed where this one failed."""
        if isinstance(failure, APIConnectionError):
            return failure.transient
        if failure.status in self.statuses:
            return True
        counts_as_500 = (
            isinstance(failure, ServerError) and failure.status != HTTPStatus.NOT_IMPLEMENTED
        )
        return counts_as_500 and HTTPStatus.INTERNAL_SERVER_ERROR in self.statuses

    def ceilings(self) -> Iterator[float]:
        """Return an iterator over the longest waits, one for each failure in a row."""
        # With a factor of 0, the growing power would never reach its highest value, but overflow.
        ceilings: Iterator[float] = (
            backoff.expo(factor=self.base_delay, max_value=self.max_delay)
            if self.base_delay
            else backoff.constant(0)
        )
        # The generator's first value is for its own decorators.
        next(ceilings)
        return ceilings


_is_printable = re.compile("[!-~]+").fullmatch
_HOST = r"(\[[0-9a-fA-F:.]+\]|[a-zA-Z0-9.-]+)(:[0-9]{1,5})?"
_is_base_url = re.compile(f"(?i:https?)://{_HOST}(/[!-~]*)?").fullmatch
_is_proxy = re.compile(rf"(?i:https?)://([^\s/?#@\[\]\\]*@)?{_HOST}/?", re.ASCII).fullmatch
_is_user_agent = re.compile(" *[!-~][ -~]*").fullmatch


def checked_token(token: Secret | None) -> Secret:
    """The token that is given, else the one that the environment names.

    Raises:
        ClientUsageError: There is none.
        ValueError: It can't be a token.
    """
    origin = "the token"
    if token is None:
        for origin in TOKEN_VARIABLES:
            token = Secret.hide(os.environ.get(origin))
            if token:
                break
        else:
            raise ClientUsageError(f"no token: pass token=…, or set {TOKEN_VARIABLES[0]}")
    if not token:
        raise ValueError(f"{origin} is empty, or no string")
    if not _is_printable(token):
        raise ValueError(f"{origin} holds white space, a line break or a character beyond ASCII")
    if token.startswith("dor_v1_"):
        raise ValueError(f"{origin} is a refresh token (dor_v1_…), which is no bearer token")
    return token


def checked_base_url(url: str | None, *, allow_insecure: bool) -> str:
    """The base URL that is given, else the environment's, else the API's.

    Raises:
        TypeError: It is no string.
        ValueError: It is no base URL, or not safe to send a token to.
    """
    if url is None:
        url = os.environ.get(BASE_URL_VARIABLE) or BASE_URL
    if not isinstance(url, str):
        raise TypeError(f"base_url is a string, not {type(url).__name__}")
    if not _is_base_url(url) or not _has_port(url) or any(mark in url for mark in "?#@\\"):
        raise ValueError("base_url is https://host[:port][/path], without user, query or fragment")
    parts = urlsplit(url)
    if parts.scheme == "http" and not allow_insecure and not _is_loopback(parts.hostname or ""):
        raise ValueError("http would show the token to the network: use https, or allow_insecure")
    host = parts.netloc.lower().removesuffix(f":{_PORTS[parts.scheme]}")
    return f"{parts.scheme}://{host}{parts.path}".rstrip("/")


_PORTS = {"http": 80, "https": 443}


def _has_port(url: str) -> bool:
    """Whether the port, if there is one, is one that there can be."""
    try:
        return urlsplit(url).port != 0
    except ValueError:
        return False


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def checked_proxy(proxy: Secret | None) -> Secret | None:
    """A proxy's URL.

    Raises:
        ValueError: It is none; the message doesn't repeat it, since it may hold a password.
    """
    if proxy is None:
        return None
    if not proxy.isascii() or not _is_proxy(proxy) or not _has_port(proxy):
        raise ValueError("proxy is http://[user:password@]host[:port]")
    return proxy


def checked_user_agent(user_agent: str | None) -> str:
    """Return the value of the User-Agent header: the one that is given, else the package's.

    Raises:
        ValueError: It can't stand in a header, or holds an API token.
    """
    if user_agent is None:
        python = ".".join(map(str, sys.version_info[:2]))
        return f"digitalocean-projects/{__version__} (Python {python})"
    if not _is_user_agent(user_agent):
        raise ValueError("user_agent is printable ASCII")
    if holds_token(user_agent):
        raise ValueError("user_agent must not contain an API token")
    return user_agent


DEFAULT_LIMITS = Limits()
DEFAULT_RETRY = RetryPolicy()
BASE_URL_VARIABLE = "DIGITALOCEAN_API_URL"
BASE_URL = "https://api.digitalocean.com"
DEFAULT_TIMEOUT = 30.0
DEFAULT_CONNECT_TIMEOUT = 10.0
DEFAULT_MAX_BODY = 16 * 2**20
DEFAULT_PER_PAGE = MAX_PER_PAGE = 200
DEFAULT_CONCURRENCY = 16
DEFAULT_MAX_PAGES = 10_000
DEFAULT_CHUNK_SIZE = 100


publish(globals())
