"""Config: the settings of a client, their checks and their defaults."""

from __future__ import annotations

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

from ._arguments import checked_count, checked_seconds, checked_type, checked_wait
from ._clock import Clock
from ._defaults import BASE_URL, BASE_URL_VARIABLE, ENVIRONMENT
from ._errors import APIConnectionError, APIStatusError, ClientUsageError, ServerError
from ._messages import TOKEN_VARIABLES, NotText, Secret, holds_token, number_text
from ._public import publish
from ._version import __version__

if TYPE_CHECKING:
    from ssl import SSLContext

    from aiohttp import ClientSession, TraceConfig


@attrs.frozen(kw_only=True, eq=False, repr=False)  # see `_described.Request`
class Settings:
    """The checked settings of a client."""

    token: Secret
    token_source: str
    base_url: str
    timeout: float
    connect_timeout: float
    max_body: int
    proxy: Secret | None
    user_agent: str
    allow_insecure: bool
    ssl: SSLContext | None
    session: ClientSession | None
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
    try:
        pairs = [(requests, seconds) for requests, seconds in windows]
    except (TypeError, ValueError):
        pairs = None
    if pairs is None:
        raise TypeError(
            "windows must be pairs of (requests, seconds), "
            f"got {type(windows).__name__}; pass for example ((250, 60.0), (5000, 3600.0))"
        )
    if not pairs:
        raise ValueError("limits must have at least one window; pass limits=None for no limits")
    checked = [
        (
            checked_count("the requests of a window", requests, 10**9),
            checked_seconds("the seconds of a window", seconds),
        )
        for requests, seconds in pairs
    ]
    return tuple(sorted(checked, key=itemgetter(1)))


def _check_wait(_: object, attribute: attrs.Attribute[Any], value: float) -> None:
    checked_wait(attribute.name, value)


def _check_finite(_: object, attribute: attrs.Attribute[Any], value: float) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{attribute.name} must be a number, got {type(value).__name__}")
    if not 0 <= value <= sys.float_info.max:  # a longer int can't be converted to a float
        got = number_text(value)
        raise ValueError(f"{attribute.name} must be finite and at least 0, got {got}")


def _check_count(_: object, attribute: attrs.Attribute[Any], value: int) -> None:
    checked_count(attribute.name, value)


def _check_reserve(_: object, attribute: attrs.Attribute[Any], value: int) -> None:
    checked_type(attribute.name, value, int)
    checked_wait(attribute.name, value)


@attrs.frozen(kw_only=True)
class Limits:
    """Client-side rate limits: the maximum number of requests in each of some periods.

    The defaults are the API's limits for each token: 250 requests per minute and 5,000 per hour. A
    request over a limit waits. Like the API, the client counts each request for one period (a
    sliding window), see `TokenBucket`. The method `check_timeout` is internal.

    https://docs.digitalocean.com/reference/api/reference/#rate-limit

    Args:
        windows: Pairs of (requests, seconds): the maximum number of requests, an int from 1 to
            10^9, in each period. The default is `((250, 60.0), (5000, 3600.0))`.
        margin: Seconds that are added to each period, since clocks differ. The default is 1.
        grace: Seconds that are added to the period of a request if it is unknown when it reached
            the API, such as after a timeout. The default is 30.
        reserve: Number of requests of each window that clients with `bulk=True` leave to the other
            clients, an int of at least 0. The default is 5.

    Raises:
        TypeError: A value has the wrong type.
        ValueError: There is no window, or a number is out of range.
    """

    windows: tuple[tuple[int, float], ...] = attrs.field(
        default=((250, 60.0), (5000, 3600.0)), converter=_as_windows
    )
    margin: float = attrs.field(default=1.0, validator=_check_wait)
    grace: float = attrs.field(default=30.0, validator=_check_wait)
    reserve: int = attrs.field(default=5, validator=_check_reserve)

    def check_timeout(self, timeout: float) -> None:
        """Raise a ValueError if a client with this timeout can't have these limits."""


def _is_callable(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if not callable(value):
        raise TypeError(f"{attribute.name} must be callable, got {type(value).__name__}")


def _as_statuses(statuses: Iterable[int]) -> frozenset[int]:
    values: object = statuses
    checked: frozenset[Any] = frozenset(values if isinstance(values, Iterable) else [None])
    if not all(isinstance(status, int) for status in checked):
        kind = type(statuses).__name__
        raise TypeError(f"statuses must be ints, got {kind}; pass for example {{429, 503}}")
    return checked


def _full_jitter(maximum: float) -> float:
    import backoff  # noqa: PLC0415 - only a failed request needs it

    return backoff.full_jitter(maximum)


@attrs.frozen(kw_only=True)
class RetryPolicy:
    """The rules by which a failed request is sent again.

    A request is retried after a transient failure: a connection error, a timeout, or a response
    with one of `statuses`. The delay is a random number of seconds between 0 and a maximum that
    doubles with each attempt (exponential backoff with full jitter). It is at least the
    `Retry-After` of the response. The API sends a 429 without `Retry-After` if the hourly limit is
    used up; then the delay is at least the time until its `ratelimit-reset`. If the response asks
    for a longer delay than `max_retry_after`, or if the delay would exceed the client's `deadline`,
    the error is raised at once.

    Each retry is logged as a warning of the logger `digitalocean_projects`. Python prints warnings
    on standard error if the program has not configured logging, so a script that waits for a retry
    is not silent. To silence it, set the level of the logger to `logging.ERROR`.

    All operations but `create` are idempotent. `create` is retried only if the request was
    certainly not carried out.

    The methods `covers` and `ceilings` are internal.

    https://docs.digitalocean.com/reference/api/reference/#rate-limit

    Args:
        attempts: Maximum number of attempts, an int of at least 1; 1 disables retries. The default
            is 4.
        base_delay: Maximum delay before the first retry, in seconds. The default is 0.5.
        max_delay: Bound of the doubling maximum, in seconds. The default is 20.
        max_retry_after: Maximum number of seconds that a response may ask the client to wait. The
            default is 60. Also the time for which an assignment is tried again while its project
            processes earlier ones, if `base_delay` is at least 0.1 and `attempts` more than 1.
        statuses: HTTP status codes that are retried. With 500, all other 5xx but 501 are retried,
            too. The default is 408, 429, 500, 502, 503 and 504.
        jitter: Function that maps the maximum delay to the actual one, both in seconds. The default
            draws it uniformly; `lambda maximum: maximum` disables the randomness.

    Raises:
        TypeError: A value has the wrong type.
        ValueError: A number is out of range.
    """

    attempts: int = attrs.field(default=4, validator=_check_count)
    base_delay: float = attrs.field(default=0.5, validator=_check_finite)
    max_delay: float = attrs.field(default=20.0, validator=_check_finite)
    max_retry_after: float = attrs.field(default=60.0, validator=_check_finite)
    statuses: frozenset[int] = attrs.field(
        default=frozenset({408, 429, 500, 502, 503, 504}), converter=_as_statuses
    )
    jitter: Callable[[float], float] = attrs.field(default=_full_jitter, validator=_is_callable)

    def covers(self, failure: APIConnectionError | APIStatusError) -> bool:
        """Return True if another attempt may succeed after this failure."""
        if isinstance(failure, APIConnectionError):
            return failure.transient
        if failure.status in self.statuses:
            return True
        counts_as_500 = (
            isinstance(failure, ServerError) and failure.status != HTTPStatus.NOT_IMPLEMENTED
        )
        return counts_as_500 and HTTPStatus.INTERNAL_SERVER_ERROR in self.statuses

    def ceilings(self) -> Iterator[float]:
        """Return an iterator over the maximum delays after the first, second, … failed attempt."""
        import backoff  # noqa: PLC0415 - as above

        # With a factor of 0, the power would never reach `max_value`, and would finally overflow.
        ceilings: Iterator[float] = (
            backoff.expo(factor=self.base_delay, max_value=self.max_delay)
            if self.base_delay
            else backoff.constant(0)
        )
        # The first value of the generator is not a delay: the decorators of `backoff` use it.
        next(ceilings)
        return ceilings


_is_printable = re.compile("[!-~]+").fullmatch
_HOST = r"(\[[0-9a-fA-F:.]+\]|[a-zA-Z0-9.-]+)(:[0-9]{1,5})?"
_is_base_url = re.compile(f"(?i:https?)://{_HOST}(/[!-~]*)?").fullmatch
_PROXY = rf"(?i:https?)://([^\s/?#@\[\]\\]*@)?{_HOST}/?"
_is_user_agent = re.compile(" *[!-~][ -~]*").fullmatch


def token_source(token: Secret | None) -> str:
    """Return where `checked_token` gets the token from, for a message."""
    variable = next(filter(os.environ.get, TOKEN_VARIABLES), "")
    return f"from {variable}" if token is None else "passed to the client"


def checked_token(token: Secret | None) -> Secret:
    """Return the given token, or else the one of the environment, after checking it.

    Raises:
        ClientUsageError: There is no token.
        TypeError: The value was not a string.
        ValueError: The token is malformed. The message doesn't contain it.
    """
    origin = "token"
    if token is None:
        for origin in TOKEN_VARIABLES:
            token = Secret.hide(os.environ.get(origin))
            if token:
                break
        else:
            raise ClientUsageError(f"no token: pass token=…, or set {TOKEN_VARIABLES[0]}")
    elif isinstance(token, NotText):
        raise TypeError(f"token must be a string, got {token.kind}")
    if not token:
        raise ValueError(f"{origin} must not be empty")
    if token[:7].lower() == "bearer ":
        raise ValueError(f"{origin} must be a token without 'Bearer ' before it")
    if not _is_printable(token):
        around = "; strip() removes those around it" if _is_printable(token.strip()) else ""
        raise ValueError(
            f"{origin} must be printable ASCII, without spaces and line breaks{around}"
        )
    if token.startswith("dor_v1_"):
        raise ValueError(f"{origin} must be an access token, got a refresh token (dor_v1_…)")
    return token


def checked_base_url(url: str | None, *, allow_insecure: bool) -> str:
    """Return the given base URL, or else that of the environment or the API, after checking it.

    No message repeats the URL, since it may contain a password.

    Raises:
        TypeError: The URL is not a string.
        ValueError: The URL is malformed, ends in the API's own path, or is not safe for a token.
    """
    origin = "base_url"
    if url is None:
        url = os.environ.get(BASE_URL_VARIABLE)
        origin, url = (BASE_URL_VARIABLE, url) if url else (origin, BASE_URL)
    checked_type(origin, url, str)
    if not _is_base_url(url) or not _has_port(url) or any(mark in url for mark in "?#@\\"):
        raise ValueError(
            f"{origin} must be https://host[:port][/path], without user, query and fragment"
            f"{'' if '://' in url else '; it has no https:// at its beginning'}"
        )
    parts = urlsplit(url)
    if parts.scheme == "http" and not allow_insecure and not is_loopback(parts.hostname or ""):
        raise ValueError(
            f"{origin} must be https, since http would send the token unencrypted; "
            "pass allow_insecure=True to allow that"
        )
    if ending := _find_api_path(parts.path):
        raise ValueError(
            f"{origin} must not end in {ending[1]!r}, since the client adds that to each path"
        )
    if holds_token(parts.path):
        raise ValueError(f"{origin} must not contain an API token")
    host = parts.netloc.lower().removesuffix(f":{_PORTS[parts.scheme]}")
    return f"{parts.scheme}://{host}{parts.path}".rstrip("/")


_PORTS = {"http": 80, "https": 443}
_find_api_path = re.compile("(?i)(/v2(?:/projects)?)/*+$").search


def _has_port(url: str) -> bool:
    """Return True if the port of the URL is absent or valid."""
    try:
        return urlsplit(url).port != 0
    except ValueError:
        return False


def is_loopback(host: str) -> bool:
    """Return True if a host is this machine."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def checked_proxy(
    proxy: Secret | None, base_url: str = "", *, allow_insecure: bool = False
) -> Secret | None:
    """Return the URL of a proxy after checking it; that of the environment for the text `env`.

    Raises:
        ValueError: The URL is malformed, or the proxy would read the token on its way to an http
            address. The message doesn't contain the URL, since it may hold a password.
    """
    origin = "proxy"
    if proxy == ENVIRONMENT:
        origin, proxy = environment_proxy(base_url)
    if proxy is None:
        return None
    if not proxy.isascii() or not re.fullmatch(_PROXY, proxy, re.ASCII) or not _has_port(proxy):
        other = f", {ENVIRONMENT!r} or None" if origin == "proxy" else ""
        raise ValueError(f"{origin} must be http://[user:password@]host[:port]{other}")
    is_local = is_loopback(urlsplit(str(proxy)).hostname or "")
    if base_url.startswith("http:") and not (is_local or allow_insecure):
        raise ValueError(
            "proxy must be on this machine if base_url is http, since the token would be sent to "
            "it unencrypted; pass allow_insecure=True to allow that"
        )
    return proxy


def environment_proxy(base_url: str) -> tuple[str, Secret | None]:
    """Return the proxy that the environment has for a base URL, after the name of its variable."""
    from urllib.request import getproxies, proxy_bypass  # noqa: PLC0415 - it loads slowly

    parts = urlsplit(base_url)
    # The environment may name the host with or without its port, which may be that of the scheme.
    address = parts.netloc if parts.port else f"{parts.netloc}:{_PORTS.get(parts.scheme)}"
    if is_loopback(parts.hostname or "") or proxy_bypass(address):
        return "", None
    for scheme in (parts.scheme, "all"):
        if url := Secret.hide(getproxies().get(scheme)):
            names = (f"{scheme}_proxy", f"{scheme}_PROXY".upper())
            name = next(filter(os.environ.get, names), "the proxy of the system")
            return name, url if "://" in url else Secret(f"http://{url}")
    return "", None


def checked_user_agent(user_agent: str | None) -> str:
    """Return the value of the User-Agent header: the given one, or else the package's.

    Raises:
        TypeError: The value is not a string.
        ValueError: The value can't stand in a header, or contains an API token.
    """
    if user_agent is None:
        python = ".".join(map(str, sys.version_info[:2]))
        return f"digitalocean-projects/{__version__} (Python {python})"
    if not _is_user_agent(checked_type("user_agent", user_agent, str)):
        raise ValueError("user_agent must be printable ASCII and not empty")
    if holds_token(user_agent):
        raise ValueError("user_agent must not contain an API token")
    return user_agent


DEFAULT_LIMITS = Limits()
DEFAULT_RETRY = RetryPolicy()


publish(globals())
