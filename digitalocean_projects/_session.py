"""SessionManager: owns the aiohttp session, and takes a request to its answer."""

from __future__ import annotations

import asyncio
import logging
import math
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeVar, cast

import attrs
from aiohttp import (
    ClientConnectorCertificateError,
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
    APIStatusError,
    APITimeoutError,
    ClientUsageError,
    one_line,
    request_id,
    status_error,
)
from ._pool import Pool, running_loop
from ._retry import Retries

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ._config import Settings
    from ._errors import Request

T = TypeVar("T")

_logger = logging.getLogger("digitalocean_projects")
_SUCCESS = range(200, 300)
# aiohttp takes 0 for no time-out at all.
_SHORTEST = 0.001
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
    """Sends requests, again where that may help, on a pool of its own."""

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
        self._pool = Pool(partial(_open_session, settings))

    def check_open(self) -> None:
        """Do nothing, unless the manager is closed.

        Raises:
            ClientUsageError: It is.
        """
        self._pool.check_open()

    async def aclose(self) -> None:
        """Close the pool, for good; a request that is under way fails.

        Raises:
            ClientUsageError: It belongs to another loop, which isn't closed.
        """
        await self._pool.aclose()

    async def request(self, request: Request, body: bytes | None = None) -> Answer:
        """The API's answer, from one of the attempts that the retry policy allows.

        Raises:
            APIConnectionError: There was none.
            APIStatusError: It is no success.
            APIResponseError: It is no HTTP, or too large.
            ClientUsageError: The manager is closed, or belongs to another loop.
        """
        self.check_open()
        running_loop()
        task = cast("asyncio.Task[Any]", asyncio.current_task())
        tasks, cancellations = self._pool.tasks, task.cancelling()
        if task in tasks:
            # A hook of a request sends another one.
            return await self._with_retries(request, body)
        tasks.add(task)
        try:
            return await self._with_retries(request, body)
        except asyncio.CancelledError as error:
            if task.cancelling() > cancellations:
                # Whom the pool's end has cancelled is not in the set any more.
                if task in tasks or task.uncancel() > cancellations:
                    raise error.with_traceback(None) from None
                failure: APIError = ClientUsageError(f"the client was closed meanwhile ({request})")
            else:
                # aiohttp does so to who waits for a connection of a session that is closed.
                failure = APIConnectionError("the wait for a connection was cancelled", request)
        finally:
            tasks.discard(task)
        try:
            raise failure
        finally:
            del failure

    async def _with_retries(self, request: Request, body: bytes | None) -> Answer:
        clock, seconds = self._settings.clock, self._settings.deadline
        deadline = math.inf if seconds is None else clock.time() + seconds
        retries: Retries | None = None
        while True:
            try:
                return await self._once(request, body, deadline)
            except (APIConnectionError, APIStatusError) as error:
                retries = retries or Retries(self._settings.retry)
                delay = retries.delay_after(error)
                if delay is None or clock.time() + delay >= deadline:
                    raise
            await clock.sleep(delay)

    async def _once(self, request: Request, body: bytes | None, deadline: float) -> Answer:
        """One attempt, up to the error that an answer's status makes."""
        session = self._pool.session()
        start = monotonic()
        try:
            answer = await self._attempt(session, request, body, self._time_out(deadline))
        except APIError as error:
            self._log(request, type(error).__name__, start)
            raise
        self._log(request, answer.status, start, answer.headers)
        if answer.status not in _SUCCESS:
            raise status_error(
                answer.status, answer.headers, answer.body, request, secret=self._settings.token
            )
        return answer

    def _time_out(self, deadline: float) -> ClientTimeout:
        left = deadline - self._settings.clock.time()
        if left >= self._settings.timeout:
            return self._timeout
        return attrs.evolve(self._timeout, total=max(left, _SHORTEST))

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

    async def _attempt(
        self, session: ClientSession, request: Request, body: bytes | None, time_out: ClientTimeout
    ) -> Answer:
        try:
            return await self._exchange(session, request, body, time_out)
        except Exception as error:  # noqa: BLE001 - any of them may hold the token
            failure = self._translated(error, request)
        # Not in the handler, since an exception remembers the one that was being handled.
        try:
            raise failure
        finally:
            del failure

    async def _exchange(
        self, session: ClientSession, request: Request, body: bytes | None, time_out: ClientTimeout
    ) -> Answer:
        response = await session.request(
            request.method,
            URL(f"{self._settings.base_url}{request.path}", encoded=True),
            data=body,
            headers=self._headers,
            timeout=time_out,
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
            transient = not isinstance(error, ClientConnectorCertificateError)
            return APIConnectionError(text, request, transient=transient)
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


def _open_session(settings: Settings) -> ClientSession:
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
    return session
