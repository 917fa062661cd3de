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
from ._resource_handlers import assign_resources, list_droplets, list_resources

if TYPE_CHECKING:
    from collections.abc import Callable

    from ._call import Call
    from ._recording import RecordedRequest


@attrs.frozen
class _Operation:
    """A handler and the status of its answer."""

    status: int
    handler: Callable[..., dict[str, Any] | None]


_ON_DEFAULT = {
    "GET": _Operation(200, get_project),
    "PUT": _Operation(200, replace_project),
    "PATCH": _Operation(200, update_project),
}
# The first route whose pattern matches is used. As with the API, a path may end with a slash.
_ROUTES: tuple[tuple[re.Pattern[str], dict[str, _Operation]], ...] = (
    (
        re.compile("/v2/projects/?"),
        {"GET": _Operation(200, list_projects), "POST": _Operation(201, create_project)},
    ),
    (re.compile("/v2/projects/(default)/?"), _ON_DEFAULT),
    (
        re.compile("/v2/projects/([^/]+)/?"),
        {**_ON_DEFAULT, "DELETE": _Operation(204, delete_project)},
    ),
    (
        re.compile("/v2/projects/([^/]+)/resources/?"),
        {"GET": _Operation(200, list_resources), "POST": _Operation(200, assign_resources)},
    ),
    (re.compile("/v2/droplets/?"), {"GET": _Operation(200, list_droplets)}),
)


def perform(call: Call) -> tuple[int, dict[str, Any] | None]:
    """Carry out a request, and return the status and the document of the answer, if any.

    Raises:
        RefusedError: The request is refused, and the account is unchanged.
    """
    operations, arguments = _operations(call.request.path)
    method = call.request.method
    # The server leaves out the body of the answer to a HEAD.
    operation = operations.get("GET" if method == "HEAD" else method)
    if operation is None:
        message = f"The method {method} is not allowed here."
        raise RefusedError(405, message, {"Allow": allowed_methods(call.request.path)})
    if method not in {"GET", "HEAD"}:
        _check_media_type(call.request)
    return operation.status, operation.handler(call, *arguments)


def allowed_methods(path: str) -> str:
    """Return the methods that a path has, as a header lists them.

    Raises:
        RefusedError: There is no such path.
    """
    operations, _ = _operations(path)
    return ", ".join([*operations, "HEAD", "OPTIONS"])


def _operations(path: str) -> tuple[dict[str, _Operation], tuple[str, ...]]:
    """Return the operations of a path by their methods, and the arguments in the path."""
    for pattern, operations in _ROUTES:
        if found := pattern.fullmatch(path):
            return operations, found.groups()
    raise RefusedError(404)


def _check_media_type(request: RecordedRequest) -> None:
    # The API requires the header for a DELETE, too, which has no body.
    content_type, _, _ = request.headers.get("Content-Type", "").partition(";")
    if content_type.strip().lower() != "application/json":
        raise RefusedError(415, "Content-Type must be application/json")
