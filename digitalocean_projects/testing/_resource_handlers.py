"""Resource handlers: one function for each operation on the resources of a project.

https://docs.digitalocean.com/reference/api/reference/project-resources/
https://docs.digitalocean.com/reference/api/reference/droplets/
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any

from digitalocean_projects._codec.urn import URN, listed_urn

from ._answer import RefusedError

if TYPE_CHECKING:
    from ._assignment import Assignment
    from ._call import Call
    from ._project import StoredProject

_FILTERS = ("tag_name", "name")
_BUSY = "The project can't be updated while it processes previous actions"
_ATTACHED = "Cannot move a Reserved IP with an associated Droplet. Move the Droplet instead"

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


def list_resources(call: Call, project_id: str) -> dict[str, Any]:
    """List the project's resources that the token may read, newest first."""
    call.need("project:read")
    project = call.project(project_id)
    page, members = call.page(f"/v2/projects/{project.id}/resources", call.account.listing(project))
    resources = [
        _listed(call, _resource_document(assignment, assignment.status))
        for assignment in page
        if call.token.allows(_read_scope(assignment.urn.type))
    ]
    return {"resources": resources, **members}


def list_droplets(call: Call) -> dict[str, Any]:
    """List the Droplets of the account, or those with a tag or a name, by id."""
    call.need("droplet:read")
    query = {name: call.request.query[name] for name in _FILTERS if name in call.request.query}
    if len(query) == len(_FILTERS):
        raise RefusedError(400, "tag_name can not be combined with name")
    droplets = call.account.droplets()
    if (tag := query.get("tag_name")) is not None:
        droplets = [each for each in droplets if tag in each[1].tags]
    if (name := query.get("name")) is not None:
        droplets = [each for each in droplets if name.lower() == each[1].name.lower()]
    page, members = call.page("/v2/droplets", droplets, query)
    documents = [
        {"id": number, "name": labels.name, "status": "active", "tags": labels.tags}
        for number, labels in page
    ]
    return {"droplets": documents, **members}


def _listed(call: Call, document: dict[str, Any]) -> dict[str, Any]:
    """Return a resource as a listing shows it: if the rules are sparse, in one of six ways."""
    if call.rules.sparse:
        # A resource always looks the same.
        match zlib.crc32(document["urn"].encode()) % 6:
            case 1:
                document.pop("status", None)
            case 2:
                document.pop("assigned_at", None)
            case 3:
                document["assigned_at"] = ""
            case 4:
                time = document.get("assigned_at", "")
                document["assigned_at"] = time[:19].replace("T", " ")
            case 5:
                document.pop("links", None)
    return document


def assign_resources(call: Call, project_id: str) -> dict[str, Any]:
    """Assign resources, and return each with its status.

    A resource belongs to the project of its last assignment, even if listings don't show that yet:
    if it is assigned to the same project again, its status is `already_assigned`.

    While the project is busy with an earlier move, the request is refused. A reserved IP that is
    attached to a Droplet can't move without it: the request is refused, too. A
    Space that doesn't exist is left out of the answer. A load balancer of a Kubernetes cluster is
    `assigned` each time, and never listed, so the project isn't busy with it.
    """
    # `project:update` includes both of the other scopes.
    if not call.token.allows("project:update"):
        call.need("project:assign_resource")
        call.need("project:read")
    project = call.project(project_id)
    urns = _urns(call)
    for urn in urns:
        call.need(_read_scope(urn.type))
    if call.account.is_busy(project):
        raise RefusedError(403, _BUSY)
    before = {urn: call.account.assignment(urn) for urn in urns}
    for urn, assignment in before.items():
        droplet = call.account.attachments.droplet(urn)
        moves = assignment is not None and assignment.project_id != project.id
        if moves and droplet is not None and droplet not in before:
            raise RefusedError(412, _ATTACHED)
    answers = [_assign(call, project, urn, assignment) for urn, assignment in before.items()]
    resources = [answer for answer in answers if answer is not None]
    hides = call.account.attachments.hides
    moved = any(
        resource["status"] == "assigned" and not hides(resource["urn"]) for resource in resources
    )
    if moved and call.rules.busy_time:
        call.account.keep_busy(project, call.rules.busy_time)
    return {"resources": resources}


def _resource_document(assignment: Assignment, status: str | None) -> dict[str, Any]:
    link = assignment.self_link
    members = {
        "urn": assignment.urn,
        "assigned_at": assignment.assigned_at,
        "links": None if link is None else {"self": link},
        "status": status,
    }
    return {name: value for name, value in members.items() if value is not None}


def _urns(call: Call) -> list[URN]:
    """Return the URNs of an assignment in the form of listings, without repeats."""
    document = call.document()
    # The documentation doesn't require the member.
    texts = document.get("resources", []) if isinstance(document, dict) else None
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise RefusedError(400, "resources must be a list of URNs")
    try:
        # Any id is allowed; `URN.parse` also refuses the likely mistakes of a user.
        urns = [listed_urn(text) for text in texts]
    except ValueError:
        message = (
            "resource objects must have an urn in the following format: "
            "do:resource_type:resource_id"
        )
        raise RefusedError(400, message) from None
    types = call.rules.resource_types
    if not types.issuperset(urn.type for urn in urns):
        message = f"resource types must be one of the following: {' '.join(sorted(types))}"
        raise RefusedError(400, message)
    return list(dict.fromkeys(urn.canonical for urn in urns))


def _assign(
    call: Call, project: StoredProject, urn: URN, before: Assignment | None
) -> dict[str, Any] | None:
    """Assign a resource, and return its part of the answer, or None if the answer has none.

    Args:
        call: The call.
        project: The project that gets the resource.
        urn: The resource.
        before: The resource's assignment before the call.
    """
    if (status := call.status_of(urn)) is not None:
        return {"urn": str(urn), "status": status}
    account = call.account
    if account.attachments.hides(urn):
        return _resource_document(account.place_hidden(urn, project), "assigned")
    if before is None:
        return None if urn.type == "space" else {"urn": str(urn), "status": "not_found"}
    if before.project_id == project.id:
        return _resource_document(before, "already_assigned")
    assignment = account.assignment(urn)
    if assignment is None or assignment.project_id != project.id:
        assignment = account.place(urn, project, account.move_delay)
    # Otherwise it has just moved with its Droplet.
    return _resource_document(assignment, "assigned")
