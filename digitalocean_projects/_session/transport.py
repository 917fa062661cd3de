"""Transport: one request over aiohttp, to its answer or to an error of ours."""

from __future__ import annotations

import math
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeVar

import attrs
from aiohttp import (
    ClientConnectorCertificateError,
    ClientConnectorError,
    ClientError,
    ClientHttpProxyError,
    ClientPayloadError,
    ClientResponseError,
    ClientSession,
    ClientTimeout,
    ConnectionTimeoutError,
    DummyCookieJar,
    ServerDisconnectedError,
    TCPConnector,
)
from yarl import URL

from digitalocean_projects._codec.headers import RateLimit, retry_after, retry_after_refusal
from digitalocean_projects._codec.json import DecodeError, decode_error
from digitalocean_projects._errors import (
    SERVER_ERRORS,
    APIConnectionError,
    APIResponseError,
    APIStatusError,
    APITimeoutError,
    AuthenticationError,
    BadRequestError,
    ClientUsageError,
    ConflictError,
    NotFoundError,
    PermissionDeniedError,
    PreconditionFailedError,
    RateLimitError,
    ServerError,
    UnprocessableEntityError,
)
from digitalocean_projects._messages import Secret, one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from aiohttp import ClientResponse

    from digitalocean_projects._config import Settings
    from digitalocean_projects._errors import APIError
    from digitalocean_projects._messages import Request

T = TypeVar("T")

# aiohttp takes 0 for no time-out at all.
_SHORTEST = 0.001
# A wait for a connection ends before the attempt does, or aiohttp couldn't tell that nothing was
# sent. With 0.995 a loop that was busy at that moment saw both time-outs at once.
_PART_TO_CONNECT = 0.95
# The responses of a proxy after which another attempt may succeed.
_PASSING = frozenset({408, 429, *SERVER_ERRORS})
_SAID_OF: dict[type[Exception], str] = {
    ClientPayloadError: "the body is cut off or garbled",
    ServerDisconnectedError: "the server closed the connection",
}


@attrs.frozen(kw_only=True)
class Answer:
    """A response whose body is not decoded yet."""

    request: Request
    status: int
    headers: Mapping[str, str] = attrs.field(repr=False)
    body: bytes = attrs.field(repr=False)
    secret: Secret = attrs.field(repr=False)

    def decode(self, decoder: Callable[[bytes], T]) -> T:
        """Return what `decoder` reads from the body.

        Raises:
            APIResponseError: `decoder` refused the body.
        """
        try:
            return decoder(self.body)
        except DecodeError as error:
            # The error may quote what the server sent, and the server may send the token back.
            reason = one_line(str(error), self.secret)
        raise _unusable(reason, self.request, self.secret, self.status, self.headers)


@attrs.frozen(eq=False)
class _TooLargeError(Exception):
    """A body is over the limit."""

    status: int
    headers: Mapping[str, str]


class Transport:
    """Sends requests as the settings say, each once."""

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
            connect=_connect_seconds(settings.connect_timeout, settings.timeout),
            ceil_threshold=math.inf,
        )

    async def send(
        self,
        session: ClientSession,
        request: Request,
        body: bytes | None,
        *,
        seconds: float,
        on_headers: Callable[[int, Mapping[str, str]], None],
    ) -> Answer:
        """The answer, whatever its status.

        Args:
            session: What to send it on.
            request: What to send.
            body: The body, if there is one.
            seconds: The most seconds that it may take; the settings' time-out is kept, too.
            on_headers: Called with the status and headers when they are here.

        Raises:
            APIConnectionError: There was none.
            APIResponseError: It is no HTTP, or too large.
            ClientUsageError: A hook of the session failed.
        """
        failure: APIError | ClientUsageError
        start, had_idle = monotonic(), bool(_idle_connections(session))
        response: ClientResponse | None = None
        try:
            response = await self._open(session, request, body, seconds)
            return await self._read(response, request, on_headers)
        except Exception as error:  # noqa: BLE001 - any of them may hold the token
            if isinstance(error.__context__, GeneratorExit):
                # A task of a closed loop is being collected, and to clean up aiohttp needs a loop.
                raise error.__context__ from None
            if isinstance(error, ClientUsageError):  # a hook has sent a request
                failure = error.with_traceback(None)
                failure.__cause__ = failure.__context__ = None
            else:
                failure = self._translated(error, request)
        if (
            had_idle
            and response is None
            and isinstance(failure, APIConnectionError)
            and failure.sent
        ):
            # A proxy that drops one idle connection drops them all.
            _close_idle_connections(session, since=start)
            failure.reused = not isinstance(failure, APITimeoutError)
        # Not in the handler, since an exception remembers the one that was being handled.
        try:
            raise failure
        finally:
            del failure, response

    async def _open(
        self, session: ClientSession, request: Request, body: bytes | None, seconds: float
    ) -> ClientResponse:
        """Send a request, and return its response when the headers have arrived."""
        return await session.request(
            request.method,
            URL(f"{self._settings.base_url}{request.path}", encoded=True),
            data=body,
            headers=self._headers,
            timeout=self._time_out(seconds),
            proxy=self._settings.proxy,
            allow_redirects=False,
            raise_for_status=False,
        )

    async def _read(
        self,
        response: ClientResponse,
        request: Request,
        on_headers: Callable[[int, Mapping[str, str]], None],
    ) -> Answer:
        try:
            on_headers(response.status, response.headers)
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
            secret=self._settings.token,
        )

    def _time_out(self, seconds: float) -> ClientTimeout:
        if seconds >= self._settings.timeout:
            return self._timeout
        total = max(seconds, _SHORTEST)
        connect = _connect_seconds(self._settings.connect_timeout, total)
        return attrs.evolve(self._timeout, total=total, connect=connect)

    def _translated(self, error: Exception, request: Request) -> APIError | ClientUsageError:
        """Our own exception for one that came out of aiohttp."""
        if isinstance(error, _TooLargeError):
            reason = f"the body is over {self._settings.max_body} bytes"
            return _unusable(reason, request, self._settings.token, error.status, error.headers)
        if isinstance(error, TimeoutError):
            sent = not isinstance(error, ConnectionTimeoutError)
            return APITimeoutError("no answer in time", request, sent=sent)
        if isinstance(error, ClientHttpProxyError):
            return APIConnectionError(
                f"the proxy answered {error.status}",
                request,
                transient=error.status in _PASSING,
                sent=False,
            )
        if isinstance(error, ClientResponseError):
            return _unusable("the answer is no valid HTTP", request, self._settings.token)
        # The text of some repeats what the server sent.
        text = _SAID_OF.get(type(error)) or f"{type(error).__name__}: {error}"
        text = one_line(text.replace(self._settings.proxy or "\0", "***"), self._settings.token)
        if isinstance(error, ClientError | OSError):
            return APIConnectionError(
                text,
                request,
                transient=not isinstance(error, ClientConnectorCertificateError),
                sent=not isinstance(error, ClientConnectorError),
            )
        failure = ClientUsageError(f"a hook or session of yours failed: {text} ({request})")
        failure.in_doubt = True
        return failure


def _unusable(
    reason: str,
    request: Request,
    secret: Secret,
    status: int | None = None,
    headers: Mapping[str, str] = {},
) -> APIResponseError:
    return APIResponseError(
        one_line(reason, secret), request, status=status, request_id=request_id(headers, secret)
    )


def _connect_seconds(connect_timeout: float, total: float) -> float:
    """Return the seconds for the pool, DNS, TCP, TLS and a proxy: less than the whole attempt."""
    return min(connect_timeout, _PART_TO_CONNECT * total)


def _idle_connections(session: ClientSession) -> dict[Any, Any]:
    """Return the connections that wait to be used again; aiohttp has no public way to see them."""
    return getattr(session.connector, "_conns", {})


def _close_idle_connections(session: ClientSession, since: float) -> None:
    """Close the connections that have been idle since a moment; those used later are alive."""
    idle = _idle_connections(session)
    for key, connections in list(idle.items()):
        for entry in list(connections):
            protocol, idle_since = entry
            if idle_since <= since:
                connections.remove(entry)
                protocol.abort()
        if not connections:
            del idle[key]


def open_session(settings: Settings) -> ClientSession:
    """A session for these settings, in the running loop."""
    if settings.session_factory is not None:
        session = settings.session_factory()
        if not isinstance(session, ClientSession):
            raise TypeError("session_factory is to make an aiohttp.ClientSession")
    else:
        session = ClientSession(
            # The token buckets are the limit. One of the connector's would let a tenant whose
            # requests hang keep the connections from all others.
            connector=TCPConnector(limit=0),
            cookie_jar=DummyCookieJar(),
            trace_configs=list(settings.trace_configs),
        )
    # Else aiohttp sends a GET again by itself, unseen by whoever counts requests.
    session._retry_connection = False  # noqa: SLF001 - there is no public switch
    return session


_BY_STATUS: dict[int, type[APIStatusError]] = {
    400: BadRequestError,
    401: AuthenticationError,
    403: PermissionDeniedError,
    404: NotFoundError,
    409: ConflictError,
    412: PreconditionFailedError,
    422: UnprocessableEntityError,
    429: RateLimitError,
    **dict.fromkeys(SERVER_ERRORS, ServerError),
}


def status_error(
    status: int, headers: Mapping[str, str], body: bytes, request: Request, *, secret: str
) -> APIStatusError:
    """Return the exception for an answer other than 2xx; the status decides its class."""
    document = decode_error(body)
    error_class = _BY_STATUS.get(status, APIStatusError)
    asked = retry_after_refusal if error_class is RateLimitError else retry_after
    members: dict[str, Any] = {
        "status": status,
        "id": one_line(document.get("id", ""), secret),
        "message": one_line(document.get("message", ""), secret),
        "request_id": request_id(headers, secret, document),
        "rate_limit": RateLimit.from_headers(headers),
        "retry_after": asked(headers),
        "request": request,
    }
    error = error_class(**members)
    if getattr(secret, "of_tenant", False):
        error.of_tenant = True
    return error


def request_id(
    headers: Mapping[str, str], secret: str, document: Mapping[str, str] = {}
) -> str | None:
    """Return the provider's id of the request: the document's, else the header's."""
    text = document.get("request_id") or headers.get("x-request-id", "")
    return one_line(text, secret) or None
