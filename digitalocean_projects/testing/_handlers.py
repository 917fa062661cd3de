"""Handlers: one function for each operation of the API, and the routes to them.

https://docs.digitalocean.com/reference/api/reference/projects/
https://docs.digitalocean.com/reference/api/reference/project-resources/

Two refusals are not documented, but were observed: a name that is taken is a 409, and `is_default:
false` for the default project is a 400. A deletion of that project is assumed to be the same 400.
Any other invalid attribute is a 400, too. Read-only attributes and unknown ones are ignored.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, TypeVar

import attrs

from digitalocean_projects._codec.urn import URN

from ._account import NameTakenError
from ._answer import RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ._account import Account, Assignment, StoredProject, Token
    from ._recording import RecordedRequest

T = TypeVar("T")

_CREATED = ("name", "description", "purpose", "environment")
_CHANGED = (*_CREATED, "is_default")
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

# Scopes are named after the API's resources, which differ from the types of these URNs.
# https://docs.digitalocean.com/reference/api/scopes/
_SCOPES = {
    "dbaas": "database",
    "floatingip": "reserved_ip",
    "floatingipv6": "reserved_ip",
    "loadbalancer": "load_balancer",
    "reservedip": "reserved_ip",
    "reservedipv6": "reserved_ip",
    "space": "spaces",
    "volume": "block_storage",
    "volumesnapshot": "block_storage_snapshot",
}


def _read_scope(urn_type: str) -> str:
    return f"{_SCOPES.get(urn_type, urn_type)}:read"


@attrs.frozen(kw_only=True)
class Call:
    """A call of an operation. Each method may raise `RefusedError`.

    Attributes:
        account: The account to read and change.
        origin: The base URL, for the links in answers.
        request: The request.
        token: The token of the request.
        status_of: A function that returns the status of a resource that an assignment must not
            move, or None.
    """

    account: Account
    origin: str
    request: RecordedRequest
    token: Token
    status_of: Callable[[URN], str | None]

    def need(self, *scopes: str) -> None:
        """Raise a refusal if the token has none of these scopes."""
        if not self.token.allows(*scopes):
            raise RefusedError(403)

    def project(self, project_id: str) -> StoredProject:
        """Return the project that the path names."""
        project = self.account.project(project_id)
        if project is None:
            raise RefusedError(404)
        return project

    def document(self) -> Any:
        """Return the body as JSON."""
        try:
            return json.loads(self.request.body)
        except (ValueError, RecursionError):
            raise RefusedError(400, "the request body is not valid JSON") from None

    def page(self, path: str, listing: Sequence[T]) -> tuple[Sequence[T], dict[str, Any]]:
        """Return the page that the query names, and the members `links` and `meta`.

        Every page has links to `first` and `last`, and to `next` and `prev` if these exist.

        Args:
            path: The path of the listing.
            listing: The whole listing.
        """
        page = self._number("page", 1, 10**18)
        per_page = self._number("per_page", 20, 200)
        last = max(1, -(-len(listing) // per_page))
        numbers = {"first": 1, "prev": page - 1, "next": page + 1, "last": last}
        links = {
            name: f"{self.origin}{path}?page={number}&per_page={per_page}"
            for name, number in numbers.items()
            if 1 <= number <= last
        }
        members = {"links": {"pages": links}, "meta": {"total": len(listing)}}
        return listing[(page - 1) * per_page : page * per_page], members

    def _number(self, name: str, default: int, most: int) -> int:
        """Return the query's parameter `name`, which must be between 1 and `most`."""
        text = self.request.query.get(name, str(default))
        if not re.fullmatch("[0-9]{1,18}", text) or not 1 <= int(text) <= most:
            raise RefusedError(400, f"{name} must be between 1 and {most}")
        return int(text)


def list_projects(call: Call) -> dict[str, Any]:
    """List all projects, newest first, the default one included."""
    call.need("project:read")
    page, members = call.page("/v2/projects", call.account.projects())
    return {"projects": [_project_document(project) for project in page], **members}


def create_project(call: Call) -> dict[str, Any]:
    """Create a project; it is never the default one."""
    call.need("project:create")
    attributes = _attributes(call, _CREATED, required=("name", "purpose"))
    return {"project": _project_document(_checked(call.account.add_project, **attributes))}


def get_project(call: Call, project_id: str) -> dict[str, Any]:
    """Return a project."""
    call.need("project:read")
    return {"project": _project_document(call.project(project_id))}


def replace_project(call: Call, project_id: str) -> dict[str, Any]:
    """Replace all writable attributes of a project."""
    return _change(call, project_id, required=_CHANGED)


def update_project(call: Call, project_id: str) -> dict[str, Any]:
    """Change some attributes of a project. An attribute that is null stays as it is."""
    return _change(call, project_id)


def delete_project(call: Call, project_id: str) -> None:
    """Delete a project; refuse it if it holds resources, or if some are moving to it."""
    call.need("project:delete")
    project = call.project(project_id)
    if not project.is_default and not call.account.is_empty(project):
        message = "cannot delete a project with resources. move or remove the resources first"
        raise RefusedError(412, message)
    _checked(call.account.remove_project, project)


def _change(call: Call, project_id: str, required: tuple[str, ...] = ()) -> dict[str, Any]:
    call.need("project:update")
    project = call.project(project_id)
    changes = _attributes(call, _CHANGED, required)
    return {"project": _project_document(_checked(call.account.change_project, project, **changes))}


def _attributes(call: Call, names: tuple[str, ...], required: tuple[str, ...]) -> dict[str, Any]:
    """Return the attributes in the body; null counts as missing."""
    document = call.document()
    if not isinstance(document, dict):
        raise RefusedError(400, "the request body must be an object")
    attributes = {name: document[name] for name in names if document.get(name) is not None}
    if missing := [name for name in required if name not in attributes]:
        raise RefusedError(400, f"{', '.join(missing)} must be given")
    if not attributes:
        raise RefusedError(400, f"one of {', '.join(names)} must be given")
    return attributes


def _checked(change: Callable[..., T], *arguments: Any, **attributes: Any) -> T:
    try:
        return change(*arguments, **attributes)
    except NameTakenError:
        raise RefusedError(409, "name is already in use") from None
    except (TypeError, ValueError) as error:
        raise RefusedError(400, str(error)) from None


def _project_document(project: StoredProject) -> dict[str, Any]:
    return {
        "id": project.id,
        "owner_uuid": "579233b2c479241523cba5e3af55d0f50f2d6414",
        "owner_id": 1234567,
        "name": project.name,
        "description": project.description,
        "purpose": project.purpose,
        "environment": project.environment,
        "is_default": project.is_default,
        "created_at": project.created_at,
        "updated_at": project.updated_at,
    }


def list_resources(call: Call, project_id: str) -> dict[str, Any]:
    """List the project's resources that the token may read, newest first."""
    call.need("project:read")
    project = call.project(project_id)
    page, members = call.page(f"/v2/projects/{project.id}/resources", call.account.listing(project))
    resources = [
        _resource_document(assignment, "ok")
        for assignment in page
        if call.token.allows(_read_scope(assignment.urn.type))
    ]
    return {"resources": resources, **members}


def assign_resources(call: Call, project_id: str) -> dict[str, Any]:
    """Assign resources, and return each with its status.

    A resource belongs to the project of its last assignment, even if listings don't show that yet:
    if it is assigned to the same project again, its status is `already_assigned`.
    """
    call.need("project:update", "project:assign_resource")
    project = call.project(project_id)
    urns = _urns(call.document())
    for urn in urns:
        call.need(_read_scope(urn.type))
    return {"resources": [_assign(call, project, urn) for urn in urns]}


def _resource_document(assignment: Assignment, status: str) -> dict[str, Any]:
    urn = assignment.urn
    link = _SELF.get(urn.type, f"https://api.digitalocean.com/v2/{urn.type}s/{{}}")
    return {
        "urn": str(urn),
        "assigned_at": assignment.assigned_at,
        "links": {"self": link.format(urn.id)},
        "status": status,
    }


def _urns(document: Any) -> list[URN]:
    """Return the URNs of an assignment in the form of listings, without repeats."""
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


def _assign(call: Call, project: StoredProject, urn: URN) -> dict[str, Any]:
    if (status := call.status_of(urn)) is not None:
        return {"urn": str(urn), "status": status}
    account = call.account
    assignment = account.assignment(urn)
    if assignment is None:
        return {"urn": str(urn), "status": "not_found"}
    if assignment.project_id == project.id:
        return _resource_document(assignment, "already_assigned")
    return _resource_document(account.place(urn, project, account.move_delay), "assigned")


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


def perform(
    account: Account,
    origin: str,
    request: RecordedRequest,
    token: Token,
    status_of: Callable[[URN], str | None],
) -> tuple[int, dict[str, Any] | None]:
    """Carry out a request, and return the status and the document of the answer, if any.

    Args:
        account: As in `Call`.
        origin: As in `Call`.
        request: As in `Call`.
        token: As in `Call`.
        status_of: As in `Call`.

    Raises:
        RefusedError: The request is refused, and the account is unchanged.
    """
    operation, arguments = _operation(request)
    if request.method != "GET":
        _check_media_type(request)
    call = Call(account=account, origin=origin, request=request, token=token, status_of=status_of)
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
