"""SessionManager: owns the aiohttp session, and takes a request to its answer."""

from __future__ import annotations

import asyncio
import ctypes
import logging
import math
import os
import warnings
import weakref
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar, cast

import attrs
from aiohttp import (
    ClientError,
    ClientHttpProxyError,
    ClientPayloadError,
    ClientResponseError,
    ClientSession,
    ClientTimeout,
    DummyCookieJar,
    ServerDisconnectedError,
)
from yarl import URL

from ._codec import DecodeError
from ._config import Secret
from ._errors import (
    APIConnectionError,
    APIError,
    APIResponseError,
    APITimeoutError,
    ClientUsageError,
    one_line,
    request_id,
    status_error,
)

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping

    from ._config import Settings
    from ._errors import Request

T = TypeVar("T")

_logger = logging.getLogger("digitalocean_projects")
_SUCCESS = range(200, 300)
_SAID_OF: dict[type[Exception], str] = {
    ClientPayloadError: "the body is cut off or garbled",
    ServerDisconnectedError: "the server closed the connection",
}


@attrs.frozen(kw_only=True)
class Answer:
    """A successful answer, not decoded yet."""

    request: Request
    status: int
    headers: Mapping[str, str] = attrs.field(repr=False)
    body: bytes = attrs.field(repr=False)


@attrs.frozen(eq=False)
class _TooLargeError(Exception):
    """A body is over the limit."""

    status: int
    headers: Mapping[str, str]


class SessionManager:
    """Sends requests on one aiohttp session, which it opens at the first request.

    The session belongs to the event loop of that request until it or the loop is closed. A
    manager that is forgotten closes its session with its loop.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._headers = {
            "Accept": "application/json",
            "Authorization": Secret(f"Bearer {settings.token}"),
            "Content-Type": "application/json",
            "User-Agent": settings.user_agent,
        }
        self._timeout = ClientTimeout(
            total=settings.timeout,
            sock_connect=settings.connect_timeout,
            ceil_threshold=math.inf,
        )
        self._tasks: set[asyncio.Task[Any]] = set()
        self._pool: _Pool | None = None
        self._finalizer: weakref.finalize[..., SessionManager] | None = None
        self._closed = False

    def check_open(self) -> None:
        """Do nothing, unless the manager is closed.

        Raises:
            ClientUsageError: It is.
        """
        if self._closed:
            raise ClientUsageError("the client is closed")

    async def request(self, request: Request, body: bytes | None = None) -> Answer:
        """The API's answer.

        Raises:
            APIConnectionError: There was none.
            APIStatusError: It is no success.
            APIResponseError: It is no HTTP, or too large.
            ClientUsageError: The manager is closed, or belongs to another loop.
        """
        session = self._session()
        start = monotonic()
        try:
            answer = await self._attempt(session, request, body)
        except APIError as error:
            self._log(request, type(error).__name__, start)
            raise
        self._log(request, answer.status, start, answer.headers)
        if answer.status not in _SUCCESS:
            raise status_error(
                answer.status, answer.headers, answer.body, request, secret=self._settings.token
            )
        return answer

    def decode(self, answer: Answer, decoder: Callable[[bytes], T]) -> T:
        """What `decoder` makes of the answer's body.

        Raises:
            APIResponseError: `decoder` found it to be something else.
        """
        try:
            return decoder(answer.body)
        except DecodeError as error:
            reason = str(error)
        raise self._unusable(reason, answer.request, answer.status, answer.headers)

    async def aclose(self) -> None:
        """Close the session, for good; a request that is under way fails.

        Raises:
            ClientUsageError: It belongs to another loop, which isn't closed.
        """
        if self._pool is not None:
            self._pool.is_open_in(running_loop())
        self._closed = True
        while self._tasks:
            self._tasks.pop().cancel()
        pool = self._release()
        if pool is not None:
            await pool.guard.aclose()

    def __reduce__(self) -> NoReturn:
        raise TypeError("a client holds connections and a token: it can't be pickled")

    async def _attempt(
        self, session: ClientSession, request: Request, body: bytes | None
    ) -> Answer:
        task = cast("asyncio.Task[Any]", asyncio.current_task())
        cancellations = task.cancelling()
        self._tasks.add(task)
        try:
            return await self._exchange(session, request, body)
        except asyncio.CancelledError as error:
            # Whom `aclose` has cancelled is not in the set any more.
            if task in self._tasks or task.uncancel() > cancellations:
                raise error.with_traceback(None) from None
            failure: APIError = ClientUsageError(f"the client was closed meanwhile ({request})")
        except Exception as error:  # noqa: BLE001 - any of them may hold the token
            failure = self._translated(error, request)
        finally:
            self._tasks.discard(task)
        # Not in the handler, since an exception remembers the one that was being handled.
        try:
            raise failure
        finally:
            del failure

    async def _exchange(
        self, session: ClientSession, request: Request, body: bytes | None
    ) -> Answer:
        response = await session.request(
            request.method,
            URL(f"{self._settings.base_url}{request.path}", encoded=True),
            data=body,
            headers=self._headers,
            timeout=self._timeout,
            proxy=self._settings.proxy,
            allow_redirects=False,
            raise_for_status=False,
        )
        try:
            chunks = []
            left = self._settings.max_body
            while chunk := await response.content.readany():
                chunks.append(chunk)
                left -= len(chunk)
                if left < 0:
                    raise _TooLargeError(response.status, response.headers)
        finally:
            response.close()
        return Answer(
            request=request,
            status=response.status,
            headers=response.headers,
            body=b"".join(chunks),
        )

    def _translated(self, error: Exception, request: Request) -> APIError:
        """Our own exception for one that came out of aiohttp."""
        if isinstance(error, _TooLargeError):
            reason = f"the body is over {self._settings.max_body} bytes"
            return self._unusable(reason, request, error.status, error.headers)
        if isinstance(error, TimeoutError):
            return APITimeoutError("no answer in time", request)
        if isinstance(error, ClientHttpProxyError):
            return APIConnectionError(f"the proxy answered {error.status}", request)
        if isinstance(error, ClientResponseError):
            return self._unusable("the answer is no valid HTTP", request)
        # The text of some repeats what the server sent.
        text = _SAID_OF.get(type(error)) or f"{type(error).__name__}: {error}"
        text = one_line(text.replace(self._settings.proxy or "\0", "***"), self._settings.token)
        if isinstance(error, ClientError | OSError):
            return APIConnectionError(text, request)
        return ClientUsageError(f"a hook or session of yours failed: {text} ({request})")

    def _unusable(
        self,
        reason: str,
        request: Request,
        status: int | None = None,
        headers: Mapping[str, str] = {},
    ) -> APIResponseError:
        secret = self._settings.token
        return APIResponseError(
            one_line(reason, secret),
            request,
            status=status,
            request_id=request_id(headers, secret),
        )

    def _log(
        self, request: Request, outcome: int | str, start: float, headers: Mapping[str, str] = {}
    ) -> None:
        if _logger.isEnabledFor(logging.DEBUG):
            milliseconds = (monotonic() - start) * 1000
            answered = request_id(headers, self._settings.token)
            _logger.debug(
                "%s: %s in %.0f ms, request id %s", request, outcome, milliseconds, answered
            )

    def _session(self) -> ClientSession:
        """The session of the running loop, made if there is none yet."""
        self.check_open()
        loop = running_loop()
        if self._pool is not None and self._pool.is_open_in(loop):
            return self._pool.session
        self._release()
        return self._open(loop).session

    def _open(self, loop: AbstractEventLoop) -> _Pool:
        settings = self._settings
        if settings.session_factory is not None:
            session = settings.session_factory()
            if not isinstance(session, ClientSession):
                raise TypeError("session_factory is to make an aiohttp.ClientSession")
        else:
            session = ClientSession(
                cookie_jar=DummyCookieJar(), trace_configs=list(settings.trace_configs)
            )
        # Else aiohttp sends a GET again by itself, unseen by whoever counts requests.
        session._retry_connection = False  # noqa: SLF001 - there is no public switch
        self._pool = _Pool(session=session, guard=_guarded(session), loop=loop, pid=os.getpid())
        self._finalizer = weakref.finalize(self, _forgotten, self._pool)
        return self._pool

    def _release(self) -> _Pool | None:
        """Part from the pool; what is returned can be closed in the running loop."""
        pool, self._pool = self._pool, None
        if self._finalizer is not None:
            self._finalizer.detach()
        return None if pool is None or pool.is_beyond_reach() else pool


@attrs.frozen(kw_only=True, eq=False)
class _Pool:
    """A session, what closes it, and where it may be used."""

    session: ClientSession
    guard: AsyncGenerator[None, None]
    loop: AbstractEventLoop
    pid: int

    def is_open_in(self, loop: AbstractEventLoop) -> bool:
        """Whether it may be used in this loop.

        Raises:
            ClientUsageError: It may be used in another one.
        """
        if self.pid != os.getpid():
            return False
        if self.loop is loop:
            return not self.session.closed
        if self.loop.is_closed():
            return False
        raise ClientUsageError(
            "the client belongs to another event loop, which isn't closed: make one for each loop"
        )

    def is_beyond_reach(self) -> bool:
        """Whether there is no loop of this process to close it in; closes what can be then."""
        if self.pid != os.getpid():
            # To close or collect it would take its sockets out of the parent's selector.
            _keep_for_ever(self)
            return True
        if self.loop.is_closed():
            # One step is all: nothing is waited for in a closed loop.
            _step(self.guard.aclose())
            return True
        return False


def _keep_for_ever(value: object) -> None:
    """Let `value` outlive even the interpreter's end, which would finalize it."""
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(value))


async def _guard(session: ClientSession) -> AsyncGenerator[None, None]:
    pid = os.getpid()
    try:
        yield
    finally:
        if pid == os.getpid():
            await session.close()


def _guarded(session: ClientSession) -> AsyncGenerator[None, None]:
    """A generator that closes the session when it is closed, as a loop does at its end."""
    guard = _guard(session)
    _step(guard.__anext__())
    return guard


def _step(awaitable: Awaitable[None]) -> None:
    """Drive what doesn't wait."""
    with suppress(StopIteration):
        awaitable.__await__().send(None)


def _forgotten(pool: _Pool) -> None:
    """What becomes of the pool of a manager that is gone."""
    if not pool.session.closed and pool.pid == os.getpid() and not pool.loop.is_running():
        warnings.warn("a client was not closed before its event loop ended", ResourceWarning, 2)
    pool.is_beyond_reach()
    # If it isn't, its loop closes the guard, to which nothing refers any more.


def running_loop() -> AbstractEventLoop:
    """The asyncio loop that the caller runs in.

    Raises:
        ClientUsageError: It runs in none, or in another library's.
    """
    with suppress(RuntimeError):
        return asyncio.get_running_loop()
    raise ClientUsageError("the client needs a running asyncio event loop")
