"""AsyncClient: a client of the API with one token."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from ssl import SSLContext
from types import NoneType, TracebackType
from typing import Any, NoReturn, Self

from aiohttp import ClientSession, TraceConfig
from attrs import NOTHING, NothingType

from ._arguments import checked_count, checked_seconds, checked_type
from ._clock import SYSTEM_CLOCK, Clock
from ._codec.headers import RateLimit
from ._codec.json import decode_objects
from ._config import (
    DEFAULT_LIMITS,
    DEFAULT_RETRY,
    Limits,
    RetryPolicy,
    Settings,
    checked_base_url,
    checked_proxy,
    checked_token,
    checked_user_agent,
    token_source,
)
from ._defaults import (
    DEFAULT_CONCURRENCY,
    DEFAULT_CONNECT_TIMEOUT,
    DEFAULT_MAX_BODY,
    DEFAULT_MAX_PAGES,
    DEFAULT_PER_PAGE,
    DEFAULT_TIMEOUT,
    MAX_PER_PAGE,
)
from ._messages import Secret
from ._paginator.listing import Listing
from ._paginator.paginator import AsyncPaginator
from ._projects import AsyncProjects
from ._public import publish
from ._request import APIResponse, checked_path, encoded_query, endpoint_request, identity
from ._session.connections import checked_session, checked_ssl
from ._session.manager import SessionManager, Statistics
from ._session.pool import COPIED
from ._session.tracing import trace_operations


class AsyncClient:
    """A client of the Projects API, for one token.

    Its attribute `projects` holds the operations; `request` and `paginate` reach all other
    endpoints of the API. Connections are opened on the first request. Use
    the client as a context manager, or call `aclose`. It may send any number of requests
    concurrently, so make one client and share it, within one event loop or between any number of
    threads.

    An invalid argument raises a `TypeError` or `ValueError` before any request. A wrong use of the
    client raises a `ClientUsageError`. All other errors are subclasses of `APIError`. The token is
    sent to the origin of `base_url` only, and never appears in a `repr`, log record, exception or
    traceback.

    Each attempt of a request ends within `timeout` seconds, and the whole request within `deadline`
    seconds if that is set. Requests over the rate limits wait, see `Limits`, and transient failures
    are retried, see `RetryPolicy`. Redirects are not followed. The proxies of the environment are
    used only with `proxy="env"`, and netrc files never.

    Don't send requests in a handler of the `signal` module: the interrupted code may hold a lock
    that the request needs, and then the program hangs. Set a flag in the handler, or raise an
    exception.

    https://docs.digitalocean.com/reference/api/reference/projects/

    Args:
        token: API token, a str of printable ASCII. The default is the environment variable
            DIGITALOCEAN_TOKEN, or else DIGITALOCEAN_ACCESS_TOKEN.
        base_url: URL of the API without `/v2`, a str. It must be https, or http on a loopback
            address. The default is the environment variable DIGITALOCEAN_API_URL, or else
            https://api.digitalocean.com. It may have a path, for example that of a gateway.
        timeout: Total seconds for one attempt, a float. The default is 30.
        connect_timeout: Seconds to establish a connection (DNS, TCP, TLS and proxy); included in
            `timeout`. The default is 10.
        deadline: Total seconds for a request including retries and waits, or None (the default) to
            be limited by `retry` alone.
        retry: When and how often a failed request is sent again. The default, `RetryPolicy()`,
            makes at most 4 attempts. `RetryPolicy(attempts=1)` disables retries.
        limits: Client-side rate limits. A request over the limit waits. All clients of the process
            with equal token, base URL, limits and clock share them. The default, `Limits()`, has
            the API's limits. None disables them.
        bulk: True for low priority: requests of clients with `bulk=False` that share the limits go
            first, and `Limits.reserve` requests are kept for them. The default is False.
        max_body: Maximum size of a response body in bytes, after decompression. The default is
            16 MiB.
        allow_insecure: Allow http to any host, and `ssl` and sessions that don't verify the
            server. Others may then read the token. The default is False.
        proxy: URL of an HTTP proxy, `http://[user:password@]host[:port]`; `"env"` for that of the
            environment; or None (the default) for no proxy. `"env"` reads the variable
            `https_proxy` (`http_proxy` if `base_url` is http), or else `all_proxy`, in lower or
            else upper case, when the client is created. Hosts that `no_proxy` names and this
            machine are reached without a proxy.
        ssl: TLS settings, an `ssl.SSLContext`, for example one with the certificate of a private
            authority (`ssl.create_default_context(cafile=…)`) or with a client certificate
            (`load_cert_chain`). It must verify certificates and host names, unless
            `allow_insecure` is true. It applies to an https proxy, too. None, the default, trusts
            the authorities of OpenSSL: to add one, set the environment variable SSL_CERT_FILE to a
            file with all trusted certificates before Python starts.
        user_agent: Value of the User-Agent header. The default names the package and its version.
        session: `aiohttp.ClientSession` of yours, whose connections the client uses. The client
            never closes it. It must belong to the event loop of the requests, and stay open until
            the client is closed. It must have `cookie_jar=aiohttp.DummyCookieJar()` and no
            `trust_env`, and its connector must verify the server, unless `ssl` is passed or
            `allow_insecure` is true. Of its other settings, the client uses its trace configs; its
            auth, proxy and default headers are for requests of yours. The limits of its connector,
            by default 100 connections for all users of the session, bound the number of concurrent
            requests; a request that waits for a connection longer than `connect_timeout` fails. A
            `TCPConnector(limit=0)` has no limits. It can't be combined with `session_factory` or
            `trace_configs`.
        session_factory: Function that returns a new `aiohttp.ClientSession`. It is called in the
            event loop that uses the session, and the client closes the session. The connector of
            the session must verify the server, unless `ssl` is passed or `allow_insecure` is true.
            All views share the session, including its cookies. If the function raises an exception,
            the request raises it unchanged.
        trace_configs: Sequence of `aiohttp.TraceConfig` for the session. They can't be combined
            with `session_factory`.
        clock: Clock for limits and delays, an object with `time()` and `sleep()`. The default is
            the monotonic clock of the machine.

    Raises:
        ClientUsageError: `token` is None, and the environment has no token.
        TypeError: An argument has another type than annotated.
        ValueError: An argument is invalid, or `proxy` is not a string. The message contains neither
            the token nor the proxy.
    """

    def __init__(
        self,
        token: str | None = None,
        *,
        base_url: str | None = None,
        timeout: float = DEFAULT_TIMEOUT,
        connect_timeout: float = DEFAULT_CONNECT_TIMEOUT,
        deadline: float | None = None,
        retry: RetryPolicy = DEFAULT_RETRY,
        limits: Limits | None = DEFAULT_LIMITS,
        bulk: bool = False,
        max_body: int = DEFAULT_MAX_BODY,
        allow_insecure: bool = False,
        proxy: str | None = None,
        ssl: SSLContext | None = None,
        user_agent: str | None = None,
        session: ClientSession | None = None,
        session_factory: Callable[[], ClientSession] | None = None,
        trace_configs: Sequence[TraceConfig] = (),
        clock: Clock | None = None,
    ) -> None:
        token, proxy = Secret.hide(token), Secret.hide(proxy)
        if session_factory is not None and not callable(session_factory):
            kind = type(session_factory).__name__
            raise TypeError(f"session_factory must be callable, got {kind}")
        if session_factory is not None and trace_configs:
            raise ValueError(
                "session_factory must be passed without trace_configs; "
                "pass them to the ClientSession that it returns"
            )
        if session is not None and (session_factory or trace_configs):
            raise ValueError("session must be passed without session_factory and trace_configs")
        checked_type("allow_insecure", allow_insecure, bool)
        base_url = checked_base_url(base_url, allow_insecure=allow_insecure)
        settings = Settings(
            token=checked_token(token),
            token_source=token_source(token),
            base_url=base_url,
            timeout=checked_seconds("timeout", timeout),
            connect_timeout=checked_seconds("connect_timeout", connect_timeout),
            max_body=checked_count("max_body", max_body),
            proxy=checked_proxy(proxy, base_url, allow_insecure=allow_insecure),
            user_agent=checked_user_agent(user_agent),
            allow_insecure=allow_insecure,
            ssl=checked_ssl(ssl, allow_insecure=allow_insecure),
            session=checked_session(session, allow_insecure=allow_insecure or ssl is not None),
            session_factory=session_factory,
            trace_configs=tuple(trace_configs),
            retry=_checked_retry(retry),
            deadline=_checked_deadline(deadline),
            limits=_checked_limits(limits),
            bulk=_checked_bulk(bulk),
            clock=SYSTEM_CLOCK if clock is None else _checked_clock(clock),
        )
        self._manage(SessionManager(settings))

    def _manage(self, manager: SessionManager) -> None:
        self._manager = manager
        self._projects = AsyncProjects(manager)

    def __repr__(self) -> str:
        # A traceback with local variables shows a client whose arguments were refused, too.
        if not hasattr(self, "_manager"):
            return "<AsyncClient without settings>"
        return self._shown("AsyncClient", is_open=self._manager.is_open)

    def __reduce__(self) -> NoReturn:
        # A copy of the client would close its connections.
        raise TypeError(COPIED)

    def _shown(self, name: str, *, is_open: bool) -> str:
        state = "open" if is_open else "closed"
        return f"<{name} at {self._manager.settings.base_url} ({state})>"

    @property
    def projects(self) -> AsyncProjects:
        """The operations on projects."""
        return self._projects

    @property
    def rate_limit(self) -> RateLimit | None:
        """The rate limit in the headers of the latest response that has them, or None.

        https://docs.digitalocean.com/reference/api/reference/#rate-limit
        """
        return self._manager.rate_limit

    def statistics(self) -> Statistics:
        """Return counters of this client and its views, and the state of its rate limits."""
        return self._manager.statistics()

    def with_options(
        self,
        *,
        token: str | NothingType = NOTHING,
        timeout: float | NothingType = NOTHING,
        deadline: float | NothingType | None = NOTHING,
        retry: RetryPolicy | NothingType = NOTHING,
        limits: Limits | NothingType | None = NOTHING,
        bulk: bool | NothingType = NOTHING,
    ) -> AsyncClient:
        """Return a view of this client with some options changed, on the same connections.

        A view is cheap: a service can make one for each token, or for each request that it serves.
        It has its own statistics, which are also added to those of the original client. Closing
        the view has no effect; close the original client. An option that is not passed stays as it
        is.

        Args:
            token: Another token. Each token has its own rate limits.
            timeout: Total seconds for one attempt.
            deadline: Total seconds for a request including retries and waits, or None.
            retry: When and how often a failed request is sent again.
            limits: Client-side rate limits, or None. They are shared only with clients that have
                equal limits. Clients of a token with different limits may exceed the API's limits.
            bulk: Low priority, see `AsyncClient`.

        Raises:
            TypeError: An option has another type than annotated.
            ValueError: An option is invalid. The message doesn't contain the token.
        """
        token = token if token is NOTHING else Secret.hide_any(token)
        options: dict[str, tuple[Callable[[Any], object], object]] = {
            "token": (checked_token, token),
            "token_source": (token_source, token),
            "timeout": (partial(checked_seconds, "timeout"), timeout),
            "deadline": (_checked_deadline, deadline),
            "retry": (_checked_retry, retry),
            "limits": (_checked_limits, limits),
            "bulk": (_checked_bulk, bulk),
        }
        changes = {
            name: check(value) for name, (check, value) in options.items() if value is not NOTHING
        }
        view = AsyncClient.__new__(AsyncClient)
        view._manage(self._manager.view(**changes))  # noqa: SLF001 - of this class
        return view

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str | int | Sequence[str | int]] | None = None,
        json: Any = None,
        idempotent: bool | None = None,
    ) -> APIResponse:
        """Send a request to any endpoint of the API, and return its response.

        The request has the limits, retries, errors and redaction of all requests of this client,
        and goes to the origin of `base_url` only. The token needs the scopes of the endpoint.

        https://docs.digitalocean.com/reference/api/reference/

        Args:
            method: `GET`, `HEAD`, `POST`, `PUT`, `PATCH`, `DELETE` or `OPTIONS`, in any case.
            path: Path from `/v2/` on, such as `/v2/droplets`, without a query. Encode each part
                that may hold other characters with `urllib.parse.quote(part, safe="")`.
            params: The query: a mapping of names to strings, ints, bools (sent as `true` and
                `false`), or lists or tuples of these, which repeat the name. It has at most 8,000
                characters after encoding. None, the default, sends no query.
            json: The body: a JSON value of dicts with string keys, lists, tuples, strings, ints,
                finite floats, bools and None, at most 100 levels deep, with at most 1,000,000
                values and 16 MiB of text. None, the default, sends no body.
            idempotent: True to retry the request although an earlier attempt may have been carried
                out. None, the default, is True for `GET`, `HEAD`, `PUT` and `DELETE`. If False, the
                request is retried only if it was certainly not carried out. A `DELETE` that is
                retried may get status 404, since an earlier attempt has succeeded.

        Returns:
            The response with a status 2xx.

        Raises:
            APIStatusError: The status is not 2xx, or its subclass, such as `NotFoundError`. A
                redirect is not followed.
            APIConnectionError: There was no complete response in any attempt.
            APIResponseError: The response is not valid HTTP, or exceeds `max_body`.
            RateLimitWaitError: The wait for the rate limits would exceed `deadline`, or after a
                response 429, `RetryPolicy.max_retry_after`.
            ClientUsageError: The client is closed or belongs to another event loop.
            TypeError: An argument has another type than annotated. No request was sent.
            ValueError: An argument is invalid, such as a path with `..` or a host. No request was
                sent, and the message doesn't contain the token.
        """
        request, body = endpoint_request(
            method,
            path,
            params=params,
            json=json,
            idempotent=idempotent,
            secret=self._manager.settings.token,
        )
        return APIResponse.of(await self._manager.request(request, body))

    def paginate(
        self,
        path: str,
        key: str,
        *,
        params: Mapping[str, str | int | Sequence[str | int]] | None = None,
        per_page: int = DEFAULT_PER_PAGE,
        concurrency: int = DEFAULT_CONCURRENCY,
        max_pages: int = DEFAULT_MAX_PAGES,
    ) -> AsyncPaginator[dict[str, Any]]:
        """Return a paginator over any listing of the API, such as the Droplets of a tag.

        No request is sent before the paginator is used. Its items are dicts, as the API sends them.
        Each `id` is returned once, or each `urn` if an item has no `id`. Items without both are not
        compared with each other. The errors are those of `request`; a page without a list of
        objects in `key` is an `APIResponseError`.

        https://docs.digitalocean.com/reference/api/reference/#links--pagination

        Args:
            path: Path of the listing, as for `request`.
            key: Name of the member of the response that holds the items, such as `droplets`.
            params: The query, as for `request`, without `page` and `per_page`.
            per_page: Number of items on a page, an int from 1 to 200. The default is 200.
            concurrency: Maximum number of concurrent requests. The default is 16.
            max_pages: Maximum number of pages; a longer listing raises a `PaginationError`. The
                default is 10,000.

        Raises:
            TypeError: An argument has another type than annotated.
            ValueError: An argument is invalid.
        """
        secret = self._manager.settings.token
        if not checked_type("key", key, str):
            raise ValueError("key must not be empty; pass the member with the items")
        listing = Listing(
            manager=self._manager,
            path=checked_path(path, secret),
            decode=partial(decode_objects, member=key),
            key=identity,
            per_page=checked_count("per_page", per_page, MAX_PER_PAGE),
            query=encoded_query(params, secret, paging=True),
        )
        return AsyncPaginator(
            listing,
            concurrency=checked_count("concurrency", concurrency),
            max_pages=checked_count("max_pages", max_pages),
        )

    async def aclose(self) -> None:
        """Close the client for good. Requests in flight raise a `ClientUsageError`.

        Raises:
            ClientUsageError: The connections belong to another event loop.
        """
        await self._manager.aclose()

    async def __aenter__(self) -> Self:
        self._manager.check_open()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()


_MOST_ATTEMPTS = 100


def _checked_retry(retry: RetryPolicy) -> RetryPolicy:
    value: object = retry
    attempts = value if isinstance(value, int) and 0 < value <= _MOST_ATTEMPTS else 1
    hint = f"for example RetryPolicy(attempts={attempts:d})"
    return checked_type("retry", retry, RetryPolicy, hint=hint)


def _checked_limits(limits: Limits | None) -> Limits | None:
    hint = "for example Limits(windows=((250, 60.0),)), or None for no limits"
    return checked_type("limits", limits, (Limits, NoneType), hint=hint)


def _checked_bulk(bulk: bool) -> bool:  # noqa: FBT001 - it is only checked
    return checked_type("bulk", bulk, bool)


def _checked_deadline(deadline: float | None) -> float | None:
    return None if deadline is None else checked_seconds("deadline", deadline)


def _checked_clock(clock: Clock) -> Clock:
    if not (callable(getattr(clock, "time", None)) and callable(getattr(clock, "sleep", None))):
        raise TypeError(f"clock must have time() and sleep(), got {type(clock).__name__}")
    return clock


publish(globals())
trace_operations(AsyncClient)
