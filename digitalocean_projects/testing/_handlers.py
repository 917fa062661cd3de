"""Handlers: what the API does and answers, operation by operation.

https://docs.digitalocean.com/reference/api/reference/project-resources/
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import attrs

from digitalocean_projects._urn import URN

from ._refusal import RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from ._account import Account, Assignment, Project, Token
    from ._recording import RecordedRequest

_SELF = {
    "app": "https://api.digitalocean.com/v2/apps/{}",
    "dbaas": "https://api.digitalocean.com/v2/databases/{}",
    "domain": "https://api.digitalocean.com/v2/domains/{}",
    "droplet": "https://api.digitalocean.com/v2/droplets/{}",
    "floatingip": "https://api.digitalocean.com/v2/floating_ips/{}",
    "kubernetes": "https://api.digitalocean.com/v2/kubernetes/clusters/{}",
    "loadbalancer": "https://api.digitalocean.com/v2/load_balancers/{}",
    "space": "https://{}.nyc3.digitaloceanspaces.com",
    "volume": "https://api.digitalocean.com/v2/volumes/{}",
}


@attrs.frozen(kw_only=True)
class _Call:
    """A request on its way through an operation."""

    account: Account
    origin: str
    request: RecordedRequest
    token: Token
    status_of: Callable[[URN], str | None]

    def need(self, *scopes: str) -> None:
        """Refuse a token that has none of these scopes."""
        if not self.token.allows(*scopes):
            raise RefusedError(403)

    def project(self, project_id: str) -> Project:
        project = self.account.project(project_id)
        if project is None:
            raise RefusedError(404)
        return project

    def number(self, name: str, default: int, most: int) -> int:
        """The query's parameter `name`, which is between 1 and `most`."""
        text = self.request.query.get(name, str(default))
        if not re.fullmatch("[0-9]{1,18}", text) or not 1 <= int(text) <= most:
            raise RefusedError(400, f"{name} must be a number between 1 and {most}")
        return int(text)

    def document(self) -> Any:
        """The JSON of the body."""
        content_type, _, _ = self.request.headers.get("Content-Type", "").partition(";")
        if content_type.strip().lower() != "application/json":
            raise RefusedError(415, "Content-Type must be application/json")
        try:
            return json.loads(self.request.body)
        except (ValueError, RecursionError):
            raise RefusedError(400, "the request body is not valid JSON") from None


def _resource(assignment: Assignment, status: str) -> dict[str, Any]:
    urn = assignment.urn
    link = _SELF.get(urn.type, f"https://api.digitalocean.com/v2/{urn.type}s/{{}}")
    return {
        "urn": str(urn),
        "assigned_at": assignment.assigned_at,
        "links": {"self": link.format(urn.id)},
        "status": status,
    }


def _list_resources(call: _Call, project_id: str) -> dict[str, Any]:
    call.need("project:read")
    project = call.project(project_id)
    page = call.number("page", 1, 10**18)
    per_page = call.number("per_page", 20, 200)
    listing = project.listing()
    last = max(1, -(-len(listing) // per_page))
    numbers = {"first": 1, "prev": page - 1, "next": page + 1, "last": last}
    base = f"{call.origin}/v2/projects/{project.id}/resources"
    return {
        "resources": [
            _resource(assignment, "ok")
            for assignment in listing[(page - 1) * per_page : page * per_page]
            if call.token.allows(f"{assignment.urn.type}:read")
        ],
        "links": {
            "pages": {
                name: f"{base}?page={number}&per_page={per_page}"
                for name, number in numbers.items()
                if 1 <= number <= last
            }
        },
        "meta": {"total": len(listing)},
    }


def _assign_resources(call: _Call, project_id: str) -> dict[str, Any]:
    call.need("project:update", "project:assign_resource")
    project = call.project(project_id)
    urns = _urns(call.document())
    for resource_type in sorted({urn.type for urn in urns}):
        call.need(f"{resource_type}:read")
    return {"resources": [_assign(call, project, urn) for urn in urns]}


def _urns(document: Any) -> list[URN]:
    """The URNs of an assignment, as they are listed and without repeats."""
    match document:
        case {"resources": [*texts]} if all(isinstance(text, str) for text in texts):
            pass
        case _:
            raise RefusedError(400, "resources must be a list of URNs")
    try:
        urns = [URN.parse(text).canonical for text in texts]
    except ValueError:
        message = (
            "resource objects must have an urn in the following format: "
            "do:resource_type:resource_id"
        )
        raise RefusedError(400, message) from None
    if any(urn.type == "vpc" for urn in urns):
        raise RefusedError(400, "resources of type vpc cannot be assigned to a project")
    return list(dict.fromkeys(urns))


def _assign(call: _Call, project: Project, urn: URN) -> dict[str, Any]:
    if (status := call.status_of(urn)) is not None:
        return {"urn": str(urn), "status": status}
    holder = call.account.holder(urn)
    if holder is None:
        return {"urn": str(urn), "status": "not_found"}
    if holder is project:
        return _resource(project[urn], "already_assigned")
    return _resource(call.account.place(urn, project), "assigned")


_ROUTES: tuple[tuple[re.Pattern[str], dict[str, Callable[..., dict[str, Any]]]], ...] = (
    (
        re.compile("/v2/projects/([^/]+)/resources"),
        {"GET": _list_resources, "POST": _assign_resources},
    ),
)


def _operation(request: RecordedRequest) -> Callable[[_Call], dict[str, Any]]:
    for pattern, operations in _ROUTES:
        if found := pattern.fullmatch(request.path):
            if request.method in operations:
                return lambda call: operations[request.method](call, *found.groups())
            allow = {"Allow": ", ".join(operations)}
            message = f"The method {request.method} is not allowed here."
            raise RefusedError(405, message, allow)
    raise RefusedError(404)


def perform(
    account: Account,
    origin: str,
    request: RecordedRequest,
    token: Token,
    status_of: Callable[[URN], str | None],
) -> dict[str, Any]:
    """Do what was asked of the API at `origin`, and return the document that answers it.

    An assignment leaves the resources alone to which `status_of` gives a status.

    Raises:
        RefusedError: It can't be done; nothing was.
    """
    operation = _operation(request)
    return operation(
        _Call(account=account, origin=origin, request=request, token=token, status_of=status_of)
    )
