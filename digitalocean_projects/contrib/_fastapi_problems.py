"""Problem documents: what a service answers where the API refuses, fails or is away.

https://www.rfc-editor.org/rfc/rfc9457
"""

from __future__ import annotations

import logging
import math
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from fastapi.responses import JSONResponse, Response
from starlette.requests import ClientDisconnect

from digitalocean_projects import (
    APIError,
    APIStatusError,
    APITimeoutError,
    AssignmentError,
    AssignmentTimeoutError,
    ClientUsageError,
    ProjectLookupError,
    RateLimitError,
    RateLimitWaitError,
)
from digitalocean_projects._request import one_line

from ._fastapi_streams import CLIENT_CLOSED_REQUEST

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from fastapi.requests import HTTPConnection, Request

_logger = logging.getLogger("digitalocean_projects")

_CALLERS_TOKEN = "digitalocean_projects_callers_token"  # noqa: S105 - the name of a flag
_ABOUT_WHAT_IS_ASKED = frozenset({400, 404, 409, 412, 422})
_ABOUT_THE_TOKEN = frozenset({401, 403})
# The first that fits.
_BY_CLASS: tuple[tuple[type[APIError] | tuple[type[APIError], ...], HTTPStatus], ...] = (
    ((RateLimitError, RateLimitWaitError), HTTPStatus.SERVICE_UNAVAILABLE),
    ((APITimeoutError, AssignmentTimeoutError), HTTPStatus.GATEWAY_TIMEOUT),
    (AssignmentError, HTTPStatus.UNPROCESSABLE_ENTITY),
    (ClientUsageError, HTTPStatus.INTERNAL_SERVER_ERROR),
    (APIError, HTTPStatus.BAD_GATEWAY),
)


def mark_callers_token(connection: HTTPConnection) -> None:
    """Note that the token is the caller's own, who is to be told what is wrong with it."""
    setattr(connection.state, _CALLERS_TOKEN, True)


async def _answer_api_error(request: Request, error: APIError) -> Response:
    if request.scope["type"] != "http":
        # A WebSocket has no answers: to the server it is an error as any other.
        raise error
    cause = _cause(error)
    of_caller = getattr(request.state, _CALLERS_TOKEN, False)
    passed_on = _ABOUT_WHAT_IS_ASKED | _ABOUT_THE_TOKEN if of_caller else _ABOUT_WHAT_IS_ASKED
    status = _status(cause, passed_on)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        _log(request, status, cause, error)
    members = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": _detail(cause),
        "upstream_request_id": getattr(cause, "request_id", None),
        **_resources(error),
    }
    return JSONResponse(
        {name: value for name, value in members.items() if value},
        status,
        headers=_headers(status, cause),
        media_type="application/problem+json",
    )


async def _answer_nobody(_: Request, __: ClientDisconnect) -> Response:
    return Response(status_code=CLIENT_CLOSED_REQUEST)


exception_handlers: dict[
    int | type[Exception], Callable[[Request, Any], Coroutine[Any, Any, Response]]
] = {
    APIError: _answer_api_error,
    ClientDisconnect: _answer_nobody,
}
"""What `FastAPI(exception_handlers=…)` takes: a problem document for each error of the package.

The API's 400, 404, 409, 412 and 422 are passed on, and its 401 and 403 where the token is the
caller's. 429, and a wait that would be too long, is a 503; a time-out is a 504; all else is a 502.
An assignment that was done in part is what its error is, or else a 422, and lists what became of
each resource. 5xx are logged.
"""


def _log(request: Request, status: int, cause: APIError, error: APIError) -> None:
    path = one_line(request.url.path)
    _logger.warning(
        "%s %s: %s",
        request.method,
        path,
        error,
        extra={
            "do_method": request.method,
            "do_path": path,
            "do_status": status,
            "do_error": type(cause).__name__,
            "do_request_id": getattr(cause, "request_id", None),
        },
    )


def _cause(error: APIError) -> APIError:
    return error.error or error if isinstance(error, AssignmentError) else error


def _status(cause: APIError, passed_on: frozenset[int]) -> int:
    if isinstance(cause, APIStatusError) and cause.status in passed_on:
        return cause.status
    if isinstance(cause, ProjectLookupError):
        return HTTPStatus.CONFLICT if cause.found else HTTPStatus.NOT_FOUND
    return next(status for classes, status in _BY_CLASS if isinstance(cause, classes))


def _detail(cause: APIError) -> str | None:
    match cause:
        case APIStatusError(message=message):
            return message
        case AssignmentError() | AssignmentTimeoutError() | ProjectLookupError():
            return str(cause)
        case _:
            return None


def _headers(status: int, cause: APIError) -> dict[str, str]:
    match cause:
        case RateLimitError(retry_after=float(seconds)) | RateLimitWaitError(seconds=seconds):
            return {"Retry-After": str(math.ceil(seconds))}
        case _ if status == HTTPStatus.UNAUTHORIZED:
            return {"WWW-Authenticate": "Bearer"}
        case _:
            return {}


def _resources(error: APIError) -> dict[str, Any]:
    match error:
        case AssignmentError():
            return {
                "done": [str(resource.urn) for resource in error.done],
                "failed": [{"urn": str(r.urn), "status": r.status} for r in error.failed],
                "unknown": list(map(str, error.unknown)),
                "untouched": list(map(str, error.untouched)),
            }
        case AssignmentTimeoutError():
            return {"missing": list(map(str, error.missing))}
        case _:
            return {}
