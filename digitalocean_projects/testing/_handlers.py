"""Handlers: the routes to the operations of the API, and the checks that all of them share."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import attrs

from ._answer import RefusedError
from ._project_handlers import (
    create_project,
    delete_project,
    get_project,
    list_projects,
    replace_project,
    update_project,
)
from ._resource_handlers import assign_resources, list_resources

if TYPE_CHECKING:
    from collections.abc import Callable

    from ._call import Call
    from ._recording import RecordedRequest


@attrs.frozen
class _Operation:
    """A handler and the status of its answer."""

    status: int
    handler: Callable[..., dict[str, Any] | None]


_ROUTES: tuple[tuple[re.Pattern[str], dict[str, _Operation]], ...] = (
    (
        re.compile("/v2/projects"),
        {"GET": _Operation(200, list_projects), "POST": _Operation(201, create_project)},
    ),
    (
        re.compile("/v2/projects/([^/]+)"),
        {
            "GET": _Operation(200, get_project),
            "PUT": _Operation(200, replace_project),
            "PATCH": _Operation(200, update_project),
            "DELETE": _Operation(204, delete_project),
        },
    ),
    (
        re.compile("/v2/projects/([^/]+)/resources"),
        {"GET": _Operation(200, list_resources), "POST": _Operation(200, assign_resources)},
    ),
)


def perform(call: Call) -> tuple[int, dict[str, Any] | None]:
    """Carry out a request, and return the status and the document of the answer, if any.

    Raises:
        RefusedError: The request is refused, and the account is unchanged.
    """
    operation, arguments = _operation(call.request)
    if call.request.method != "GET":
        _check_media_type(call.request)
    return operation.status, operation.handler(call, *arguments)


def _operation(request: RecordedRequest) -> tuple[_Operation, tuple[str, ...]]:
    """Return the operation of the request's path, and the arguments in the path."""
    for pattern, operations in _ROUTES:
        if found := pattern.fullmatch(request.path):
            if request.method in operations:
                return operations[request.method], found.groups()
            allow = {"Allow": ", ".join(operations)}
            message = f"The method {request.method} is not allowed here."
            raise RefusedError(405, message, allow)
    raise RefusedError(404)


def _check_media_type(request: RecordedRequest) -> None:
    # The API requires the header for a DELETE, too, which has no body.
    content_type, _, _ = request.headers.get("Content-Type", "").partition(";")
    if content_type.strip().lower() != "application/json":
        raise RefusedError(415, "Content-Type must be application/json")
