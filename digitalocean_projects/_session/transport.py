"""Transport: one attempt at a request over aiohttp, to its response or to an error."""

from __future__ import annotations

import math
import re
from io import BytesIO
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeVar

import attrs
from aiohttp import ClientHttpProxyError, ClientResponseError, ClientTimeout, hdrs
from multidict import CIMultiDict
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

from .deadlines import TimeLimit
from .failures import Attempt

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from aiohttp import ClientResponse, ClientSession

    from digitalocean_projects._config import Settings
    from digitalocean_projects._described import Request
    from digitalocean_projects._errors import APIError

    from .pool import Held

T = TypeVar("T")

# For aiohttp, 0 means no timeout.
_SHORTEST = 0.001
# The timeout for the connection must expire before that of the attempt: only after the former does
# aiohttp report that nothing was sent. With 0.995, both expired at once in a busy loop.
_PART_TO_CONNECT = 0.95
_LARGE = 2**20


@attrs.define  # 0.3 µs, and 0.8 if it were frozen
class Answer:
    """A response whose body is not decoded yet."""

    request: Request
    status: int
    headers: Mapping[str, str] = attrs.field(repr=False)
    body: bytes = attrs.field(repr=False)
    secret: Secret = attrs.field(repr=False)

    @property
    def request_id(self) -> str | None:
        """The provider's id of the request, without a secret."""
        return request_id(self.headers, self.secret)

    def decode(self, decoder: Callable[[bytes], T]) -> T:
        """Return the document that `decoder` reads from the body.

        Raises:
            APIResponseError: The decoder refused the body.
        """
        try:
            return decoder(self.body)
        except DecodeError as error:
            # The error may quote what the server sent, and the server may send the token back.
            reason = one_line(str(error), self.secret)
        raise _unusable(reason, self.request, self.secret, self.status, self.headers)


@attrs.frozen(eq=False, repr=False)
class _TooLargeError(Exception):
    """A response body that exceeds the maximum size."""

    status: int
    headers: Mapping[str, str]


class Transport:
    """A sender of requests, each with one attempt."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        # aiohttp copies this class in 1.4 µs, and a dict in 3.5. Its `repr` hides a secret, too.
        self._headers = CIMultiDict[str](
            {
                hdrs.ACCEPT: "application/json",
                hdrs.AUTHORIZATION: Secret(f"Bearer {settings.token}"),
                hdrs.CONTENT_TYPE: "application/json",
                hdrs.USER_AGENT: settings.user_agent,
            }
        )
        base = URL(settings.base_url)
        self._address = (base.raw_host, base.port)
        self._times = self._times_within(settings.timeout)

    async def send(
        self,
        held: Held,
        request: Request,
        body: bytes | None,
        *,
        seconds: float,
        on_headers: Callable[[int, Mapping[str, str]], None],
    ) -> Answer:
        """Send a request, and return the response of any status.

        Args:
            held: The session to send it on.
            request: The request.
            body: The request body, or None.
            seconds: Maximum seconds for the attempt. The timeout of the settings applies, too.
            on_headers: Function that is called with the status and headers once they have arrived.

        Raises:
            APIConnectionError: There was no complete response.
            APIResponseError: The response is not valid HTTP, or is too large.
            ClientUsageError: A hook of the session failed.
        """
        failure: APIError | ClientUsageError
        session, (total, timeout) = held.session, self._time_out(seconds)
        start, idle = monotonic(), [*_idle_connections(session)]
        response: ClientResponse | None = None
        try:
            with TimeLimit(held.deadlines, total):
                response = await session.request(
                    request.method,
                    URL(f"{self._settings.base_url}{request.path}", encoded=True),
                    # aiohttp sends a BytesIO in parts, and warns of longer bytes.
                    data=BytesIO(body) if body and len(body) > _LARGE else body,
                    headers=self._headers,
                    timeout=timeout,
                    proxy=self._settings.proxy,
                    ssl=self._settings.ssl or True,
                    allow_redirects=False,
                    raise_for_status=False,
                )
                return await self._read(response, request, on_headers)
        except Exception as error:  # noqa: BLE001 - any of them may hold the token
            if isinstance(error.__context__, GeneratorExit):
                # The task of a closed loop is being collected, and aiohttp's cleanup needs a loop.
                raise error.__context__ from None
            if isinstance(error, ClientUsageError):  # a hook has sent a request
                failure = error.with_traceback(None)
                failure.__cause__ = failure.__context__ = None
            else:
                failure = self._translated(error, request, session, total)
        if response is None and isinstance(failure, APIConnectionError) and failure.sent:
            # A session of the caller may have connections to other hosts, too.
            idle = [*filter(self._is_mine, idle)]
            # A proxy that closed one idle connection has closed all of them.
            _close_idle_connections(session, idle, since=start)
            failure.reused = bool(idle) and not isinstance(failure, APITimeoutError)
        # Outside the handler, since an exception refers to the one that is being handled.
        try:
            raise failure
        finally:
            del failure, response

    def status_error(self, answer: Answer) -> APIStatusError:
        """Return the error for a response with another status than 2xx."""
        return status_error(
            answer.status,
            answer.headers,
            answer.body,
            answer.request,
            secret=self._settings.token,
            token_source=self._settings.token_source,
        )

    async def _read(
        self,
        response: ClientResponse,
        request: Request,
        on_headers: Callable[[int, Mapping[str, str]], None],
    ) -> Answer:
        try:
            on_headers(response.status, response.headers)
            content = response.content
            chunks = []
            left = self._settings.max_body
            while chunk := await content.readany():
                chunks.append(chunk)
                left -= len(chunk)
                if left < 0:
                    raise _TooLargeError(response.status, response.headers)
                if content.at_eof():
                    break
        finally:
            # At the end of a response, aiohttp has taken its connection back.
            if response.connection is not None:
                response.close()
        body = b"".join(chunks)
        return Answer(request, response.status, response.headers, body, self._settings.token)

    def _time_out(self, seconds: float) -> tuple[float, ClientTimeout]:
        """Return the total seconds of an attempt, and the timeout to connect, for aiohttp."""
        if seconds >= self._settings.timeout:
            return self._times
        return self._times_within(max(seconds, _SHORTEST))

    def _times_within(self, total: float) -> tuple[float, ClientTimeout]:
        connect = _connect_seconds(self._settings.connect_timeout, total)
        return total, ClientTimeout(connect=connect, ceil_threshold=math.inf)

    def _is_mine(self, key: Any) -> bool:
        return (key.host, key.port) == self._address

    def _translated(
        self, error: Exception, request: Request, session: ClientSession, total: float
    ) -> APIError | ClientUsageError:
        """Return the error of this package for an exception of aiohttp or of a hook."""
        if isinstance(error, _TooLargeError):
            reason = f"the response body exceeds {self._settings.max_body} bytes (max_body)"
            return _unusable(reason, request, self._settings.token, error.status, error.headers)
        if isinstance(error, ClientResponseError) and not isinstance(error, ClientHttpProxyError):
            return _unusable("the response is not valid HTTP", request, self._settings.token)
        attempt = Attempt(
            request=request,
            settings=self._settings,
            seconds=total,
            connect_seconds=_connect_seconds(self._settings.connect_timeout, total),
            trusts_environment=session.trust_env,
        )
        return attempt.failure(error)


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
    """Return the seconds for the pool, DNS, TCP, TLS and a proxy, which are less than `total`."""
    return min(connect_timeout, _PART_TO_CONNECT * total)


def _idle_connections(session: ClientSession) -> dict[Any, Any]:
    """Return the idle connections, which aiohttp doesn't make public."""
    return getattr(session.connector, "_conns", {})


def _close_idle_connections(session: ClientSession, keys: Iterable[Any], since: float) -> None:
    """Close the connections that have been idle since a moment; newer ones are alive."""
    idle = _idle_connections(session)
    for key in keys:
        connections = idle.get(key, [])
        for entry in list(connections):
            protocol, idle_since = entry
            if idle_since <= since:
                connections.remove(entry)
                protocol.abort()
        if not connections:
            idle.pop(key, None)


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
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    request: Request,
    *,
    secret: str,
    token_source: str = "",
) -> APIStatusError:
    """Return the error for a response with another status than 2xx, which decides its class.

    Args:
        status: The status.
        headers: The headers of the response.
        body: Its body.
        request: The request.
        secret: The token, which the error must not contain.
        token_source: Where the token comes from, for an error 401.
    """
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
    if error_class is AuthenticationError and token_source:
        members["hint"] = f", token {token_source}"
    error = error_class(**members)
    if getattr(secret, "of_tenant", False):
        error.of_tenant = True
    return error


_is_uuid = re.compile("[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}").fullmatch


def request_id(
    headers: Mapping[str, str], secret: str, document: Mapping[str, str] = {}
) -> str | None:
    """Return the provider's id of the request, from the document or else from the header."""
    text = document.get("request_id") or headers.get("x-request-id", "")
    # This takes a tenth of the time of the line below, and the API's ids are UUIDs.
    if _is_uuid(text) and secret not in text:
        return text
    return one_line(text, secret) or None
