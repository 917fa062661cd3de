"""Handlers: what the API does and answers, by method and path."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import attrs

from ._answer import RefusedError
from ._call import Call
from ._projects import (
    create_project,
    delete_project,
    get_project,
    list_projects,
    replace_project,
    update_project,
)
from ._resources import assign_resources, list_resources

if TYPE_CHECKING:
    from collections.abc import Callable

    from digitalocean_projects._codec.urn import URN

    from ._account import Account, Token
    from ._recording import RecordedRequest


@attrs.frozen
class _Operation:
    """What answers a request, and the status when it does."""

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


def perform(
    account: Account,
    origin: str,
    request: RecordedRequest,
    token: Token,
    status_of: Callable[[URN], str | None],
) -> tuple[int, dict[str, Any] | None]:
    """Do what was asked of the API at `origin`; the answer's status, and its document if any.

    An assignment leaves the resources alone to which `status_of` gives a status.

    Raises:
        RefusedError: It can't be done; nothing was.
    """
    operation, arguments = _operation(request)
    if request.method != "GET":
        _check_media_type(request)
    call = Call(account=account, origin=origin, request=request, token=token, status_of=status_of)
    return operation.status, operation.handler(call, *arguments)


def _operation(request: RecordedRequest) -> tuple[_Operation, tuple[str, ...]]:
    """The operation at the request's path, and the parts of the path that it goes by."""
    for pattern, operations in _ROUTES:
        if found := pattern.fullmatch(request.path):
            if request.method in operations:
                return operations[request.method], found.groups()
            allow = {"Allow": ", ".join(operations)}
            message = f"The method {request.method} is not allowed here."
            raise RefusedError(405, message, allow)
    raise RefusedError(404)


def _check_media_type(request: RecordedRequest) -> None:
    # The API wants it of a DELETE, too, which has no body.
    content_type, _, _ = request.headers.get("Content-Type", "").partition(";")
    if content_type.strip().lower() != "application/json":
        raise RefusedError(415, "Content-Type must be application/json")
