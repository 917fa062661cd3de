"""AsyncClient: a client of the API, for one token."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from types import NoneType, TracebackType
from typing import Any, Self

from aiohttp import ClientSession, TraceConfig
from attrs import NOTHING, NothingType

from ._arguments import checked_count, checked_seconds, checked_type
from ._clock import SYSTEM_CLOCK, Clock
from ._codec.headers import RateLimit
from ._config import (
    DEFAULT_CONNECT_TIMEOUT,
    DEFAULT_LIMITS,
    DEFAULT_MAX_BODY,
    DEFAULT_RETRY,
    DEFAULT_TIMEOUT,
    Limits,
    RetryPolicy,
    Settings,
    checked_base_url,
    checked_proxy,
    checked_token,
    checked_user_agent,
)
from ._messages import Secret
from ._projects import AsyncProjects
from ._public import publish
from ._session.manager import SessionManager, Statistics


class AsyncClient:
    """A client of the Projects API, for one token.

    It opens its connections at the first request, and is to be closed: as a context manager, or
    with `aclose`. It serves any number of callers at once. Its attribute `projects` holds the
    operations.

    A handler of the `signal` module must not send requests with it: the code that was interrupted
    may hold a lock that the request needs, and then neither goes on. Set a flag in the handler, or
    raise an exception.

    The token goes to the base URL's origin only, and shows in no `repr`, log or exception.

    Args:
        token: The API token; None takes the environment's DIGITALOCEAN_TOKEN, or else
            DIGITALOCEAN_ACCESS_TOKEN.
        base_url: Where the API is; None takes DIGITALOCEAN_API_URL, or else
            https://api.digitalocean.com. It is https, or http on a loopback address.
        timeout: The seconds that an attempt at a request may take as a whole.
        connect_timeout: The seconds of them that a connection may take to be made.
        deadline: The seconds that a request may take with all its attempts and waits; None bounds
            it by `retry` alone.
        retry: When and how often a request is sent again. All operations but `create` may be: to
            list or to assign once more is harmless.
        limits: How many requests to send at the most: one that would be too many waits, so that
            the API needn't refuse it. All clients of a process with the same token, base URL,
            limits and clock share them, and no others. None is without limits.
        bulk: Whether to let all others with the same limits go first, and to leave them some
            requests: for work that nobody waits for.
        max_body: The most bytes that an answer may have, after decompression.
        allow_insecure: Let `base_url` be http on any host, which shows the token to the network.
        proxy: The URL of an HTTP proxy, which may hold a user and password. Neither a proxy nor
            a netrc file is ever taken from the environment.
        user_agent: The User-Agent header; None for one that names the package and its version.
        session_factory: Makes the aiohttp session, in the loop that uses it; the client closes it.
            What it raises passes through. Views use it, too: if it keeps cookies, for all tokens.
        trace_configs: aiohttp's hooks into the requests; not together with `session_factory`.
        clock: The clock for limits and waits; None takes the machine's monotonic clock.

    Raises:
        ClientUsageError: There is no token.
        TypeError: An argument is of another type than annotated.
        ValueError: An argument can't be used, or the token or proxy is no string; the message
            shows neither of them.
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
        user_agent: str | None = None,
        session_factory: Callable[[], ClientSession] | None = None,
        trace_configs: Sequence[TraceConfig] = (),
        clock: Clock | None = None,
    ) -> None:
        token, proxy = Secret.hide(token), Secret.hide(proxy)
        if session_factory is not None and not callable(session_factory):
            raise TypeError("session_factory is called to make a session")
        if session_factory is not None and trace_configs:
            raise ValueError("trace_configs belong into the session that session_factory makes")
        settings = Settings(
            token=checked_token(token),
            base_url=checked_base_url(base_url, allow_insecure=allow_insecure),
            timeout=checked_seconds("timeout", timeout),
            connect_timeout=checked_seconds("connect_timeout", connect_timeout),
            max_body=checked_count("max_body", max_body),
            proxy=checked_proxy(proxy),
            user_agent=checked_user_agent(user_agent),
            session_factory=session_factory,
            trace_configs=tuple(trace_configs),
            retry=_checked_retry(retry),
            deadline=_checked_deadline(deadline),
            limits=_checked_limits(limits),
            bulk=_checked_bulk(bulk),
            clock=SYSTEM_CLOCK if clock is None else clock,
        )
        self._manage(SessionManager(settings))

    def _manage(self, manager: SessionManager) -> None:
        self._manager = manager
        self._projects = AsyncProjects(manager)

    def __repr__(self) -> str:
        return self._shown("AsyncClient", is_open=self._manager.is_open)

    def _shown(self, name: str, *, is_open: bool) -> str:
        state = "open" if is_open else "closed"
        return f"<{name} at {self._manager.settings.base_url} ({state})>"

    @property
    def projects(self) -> AsyncProjects:
        """The operations on projects."""
        return self._projects

    @property
    def rate_limit(self) -> RateLimit | None:
        """What the API last told this client of the token's allowance, or None."""
        return self._manager.rate_limit

    def statistics(self) -> Statistics:
        """How many requests this client and its views have sent, and how its limits stand."""
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
        """A view of this client with some options changed, on the same connections.

        It is cheap: make one for each token, or each request, of a service. It has statistics of
        its own, which the client's contain. To close it does nothing: close the client.

        Args:
            token: Another token, with limits of its own.
            timeout: The seconds that an attempt at a request may take as a whole.
            deadline: The seconds that a request may take with all its attempts and waits, or None.
            retry: When and how often a request is sent again.
            limits: The maximum number of requests, or None. Clients with different limits don't
                share them.
            bulk: Whether to let all others with the same limits go first.

        Raises:
            TypeError: An option is of another type than annotated.
            ValueError: An option can't be used; the message doesn't show the token.
        """
        token = token if token is NOTHING else Secret.hide(token) or Secret()
        options: dict[str, tuple[Callable[[Any], object], object]] = {
            "token": (checked_token, token),
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

    async def aclose(self) -> None:
        """Close the connections; what is under way fails, and the client can't be used again.

        Raises:
            ClientUsageError: The caller is in the wrong event loop.
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


def _checked_retry(retry: RetryPolicy) -> RetryPolicy:
    return checked_type("retry", retry, RetryPolicy)


def _checked_limits(limits: Limits | None) -> Limits | None:
    return checked_type("limits", limits, (Limits, NoneType))


def _checked_bulk(bulk: bool) -> bool:  # noqa: FBT001 - it is looked at only
    return checked_type("bulk", bulk, bool)


def _checked_deadline(deadline: float | None) -> float | None:
    return None if deadline is None else checked_seconds("deadline", deadline)


publish(globals())
