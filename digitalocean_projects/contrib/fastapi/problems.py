"""Problem documents: the responses of a service to errors of the API, as RFC 9457 defines them.

https://www.rfc-editor.org/rfc/rfc9457
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Coroutine, Mapping
from http import HTTPStatus
from typing import Any, TypeAlias

from fastapi import HTTPException
from fastapi.requests import HTTPConnection, Request
from fastapi.responses import JSONResponse, Response
from starlette.requests import ClientDisconnect

from digitalocean_projects import (
    APIError,
    APIStatusError,
    APITimeoutError,
    AssignmentError,
    AssignmentTimeoutError,
    ClientUsageError,
    InventoryError,
    ProjectLookupError,
    RateLimitError,
    RateLimitWaitError,
)
from digitalocean_projects._messages import one_line
from digitalocean_projects.contrib.redis.errors import RedisLimitsError

_logger = logging.getLogger("digitalocean_projects")

# The status that nginx logs for a client that has disconnected.
CLIENT_CLOSED_REQUEST = 499

_MEDIA_TYPE = "application/problem+json"
_ABOUT_THE_REQUEST = frozenset({400, 404, 409, 412, 422})
_ABOUT_THE_TOKEN = frozenset({401, 403})
Failure: TypeAlias = APIError | ClientUsageError

# The first class that matches decides.
_BY_CLASS: tuple[tuple[type[Exception] | tuple[type[APIError], ...], HTTPStatus], ...] = (
    ((RateLimitError, RateLimitWaitError, RedisLimitsError), HTTPStatus.SERVICE_UNAVAILABLE),
    ((APITimeoutError, AssignmentTimeoutError), HTTPStatus.GATEWAY_TIMEOUT),
    (AssignmentError, HTTPStatus.UNPROCESSABLE_ENTITY),
    (ClientUsageError, HTTPStatus.INTERNAL_SERVER_ERROR),
    (APIError, HTTPStatus.BAD_GATEWAY),
)


class MalformedTokenError(HTTPException):
    """A malformed token of the caller.

    It is an `HTTPException`, so FastAPI answers with a 401 even without these handlers.
    """

    def __init__(self, reason: str) -> None:
        headers = {"WWW-Authenticate": "Bearer"}
        super().__init__(HTTPStatus.UNAUTHORIZED, reason, headers=headers)


def problem(status: int, *, headers: Mapping[str, str] | None = None, **members: Any) -> Response:
    """Return a problem document.

    Args:
        status: The HTTP status.
        headers: Additional headers.
        members: Additional members of the document; empty ones are left out.
    """
    document = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status}
    document |= {name: value for name, value in members.items() if value}
    return JSONResponse(document, status, headers, media_type=_MEDIA_TYPE)


async def _answer_error(request: Request, error: Failure) -> Response:
    if request.scope["type"] != "http":
        # A WebSocket has no responses, so the server must handle the error.
        raise error
    cause = _cause(error)
    status = _status(cause)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        log(request, status, error, cause)
    return problem(
        status,
        headers=_headers(status, cause),
        detail=_detail(status, cause),
        upstream_request_id=_request_id(cause),
        **_resources(error),
    )


async def _answer_malformed_token(_: Request, error: MalformedTokenError) -> Response:
    return problem(error.status_code, headers=error.headers, detail=error.detail)


async def _answer_nobody(_: Request, __: ClientDisconnect) -> Response:
    return Response(status_code=CLIENT_CLOSED_REQUEST)


exception_handlers: dict[
    int | type[Exception], Callable[[Request, Any], Coroutine[Any, Any, Response]]
] = {
    APIError: _answer_error,
    ClientUsageError: _answer_error,
    MalformedTokenError: _answer_malformed_token,
    ClientDisconnect: _answer_nobody,
}
"""The handlers for `FastAPI(exception_handlers=…)`: a problem document for each error of a client.

The API's 400, 404, 409, 412 and 422 keep their status and message. Its 401 and 403 keep them only
if the request was sent with the caller's own token. Only then does the document have the API's
request id. A 429 and a `RateLimitWaitError` become a 503 with `Retry-After`, a `RedisLimitsError` a
503, a timeout a 504, a `ProjectLookupError` a 404 or 409, a `ClientUsageError` a 500, and any other
error a 502. A document with a 5xx has no `detail`. A malformed token of the caller is a 401.

An `AssignmentError` has the status of its `error`, or else 422, and lists the outcome for each
resource. An `InventoryError` has the status of its failures if they agree, or else 502. Each error
that becomes a 5xx is logged in full.
"""


_URNS = {"type": "array", "items": {"type": "string"}}
_PROBLEM = {
    "title": "Problem",
    "type": "object",
    "required": ["type", "title", "status"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "upstream_request_id": {"type": "string"},
        **dict.fromkeys(("done", "unknown", "untouched", "missing"), _URNS),
        "failed": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["urn", "status"],
                "properties": {"urn": {"type": "string"}, "status": {"type": "string"}},
            },
        },
    },
}
# FastAPI leaves out its own response 422 if another one is given.
_INVALID = {
    "title": "HTTPValidationError",
    "type": "object",
    "properties": {
        "detail": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["loc", "msg", "type"],
                "properties": {
                    "loc": {
                        "type": "array",
                        "items": {"anyOf": [{"type": "string"}, {"type": "integer"}]},
                    },
                    "msg": {"type": "string"},
                    "type": {"type": "string"},
                },
            },
        },
    },
}


def _described(status: int) -> dict[str, Any]:
    content = {_MEDIA_TYPE: {"schema": _PROBLEM}}
    if status == HTTPStatus.UNPROCESSABLE_ENTITY:
        content["application/json"] = {"schema": _INVALID}
    return {"description": HTTPStatus(status).phrase, "content": content}


problem_responses: dict[int | str, dict[str, Any]] = {
    status: _described(status)
    for status in sorted(
        {*_ABOUT_THE_REQUEST, *_ABOUT_THE_TOKEN, *(status for _, status in _BY_CLASS)}
    )
}
"""The responses of `exception_handlers` for the OpenAPI document: `FastAPI(responses=…)`.

Each is a problem document. Pass it to an `APIRouter` or to an endpoint instead if only these use a
client. The response 422 also has FastAPI's own form for an invalid request.
"""


def log(connection: HTTPConnection, status: int, reason: object, cause: Failure | None) -> None:
    """Log a request to the service for which the response is a 5xx.

    Args:
        connection: The request to the service.
        status: The status of the response.
        reason: The text for the log.
        cause: The error, if there is one.
    """
    method, path = connection.scope["method"], one_line(connection.url.path)
    _logger.warning(
        "%s %s: %s",
        method,
        path,
        reason,
        extra={
            "do_method": method,
            "do_path": path,
            "do_status": status,
            "do_error": None if cause is None else type(cause).__name__,
            "do_request_id": getattr(cause, "request_id", None),
        },
    )


def _cause(error: Failure) -> Failure:
    """Return the error that decides the response."""
    match error:
        case AssignmentError(error=APIError() | ClientUsageError() as cause):
            return cause
        case InventoryError():
            causes = [_cause(failure) for _, failure in error.failures]
            if len(set(map(_status, causes))) == 1:
                # The caller must not retry before the longest wait is over.
                return max(causes, key=_wait)
    return error


def _wait(cause: Failure) -> float:
    """Return the seconds after which the caller may retry; 0 if the error doesn't say."""
    match cause:
        case RateLimitError(retry_after=float() | int() as seconds):
            return seconds
        case RateLimitWaitError():
            return cause.seconds
    return 0.0


def _passes_on(error: APIStatusError) -> bool:
    """Return True if the error is about the caller's request or the caller's token."""
    return error.status in _ABOUT_THE_REQUEST or (
        error.of_tenant and error.status in _ABOUT_THE_TOKEN
    )


def _status(cause: Failure) -> int:
    if isinstance(cause, APIStatusError) and _passes_on(cause):
        return cause.status
    if isinstance(cause, ProjectLookupError):
        return HTTPStatus.CONFLICT if cause.found else HTTPStatus.NOT_FOUND
    return next(status for classes, status in _BY_CLASS if isinstance(cause, classes))


def _detail(status: int, cause: Failure) -> str | None:
    match cause:
        case APIStatusError():
            return cause.message if status == cause.status and _passes_on(cause) else None
        case AssignmentError():
            return str(cause)
        case ProjectLookupError():
            # The service may have composed the name, and the ids belong to its account.
            return "several projects have the name" if cause.found else "no project has the name"
        case _:
            return None


def _request_id(cause: Failure) -> str | None:
    is_tenants = isinstance(cause, APIStatusError) and cause.of_tenant
    return getattr(cause, "request_id", None) if is_tenants else None


def _headers(status: int, cause: Failure) -> dict[str, str]:
    match cause:
        case RateLimitError(retry_after=None):
            return {}
        case RateLimitError() | RateLimitWaitError():
            seconds = _wait(cause)
            # Infinity means that the end of the wait is unknown.
            if not math.isfinite(seconds):
                return {}
            return {"Retry-After": str(max(1, math.ceil(seconds)))}
        case _ if status == HTTPStatus.UNAUTHORIZED:
            return {"WWW-Authenticate": "Bearer"}
        case _:
            return {}


def _resources(error: Failure) -> dict[str, Any]:
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
