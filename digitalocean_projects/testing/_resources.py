"""Resources: the operations on what a project holds.

https://docs.digitalocean.com/reference/api/reference/project-resources/
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from digitalocean_projects._codec.urn import URN

from ._answer import RefusedError

if TYPE_CHECKING:
    from ._account import Assignment, StoredProject
    from ._call import Call

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


def list_resources(call: Call, project_id: str) -> dict[str, Any]:
    """What the project is seen to hold, newest first, but for what the token may not read."""
    call.need("project:read")
    project = call.project(project_id)
    page, members = call.page(f"/v2/projects/{project.id}/resources", call.account.listing(project))
    resources = [
        _document(assignment, "ok")
        for assignment in page
        if call.token.allows(f"{assignment.urn.type}:read")
    ]
    return {"resources": resources, **members}


def assign_resources(call: Call, project_id: str) -> dict[str, Any]:
    """Each of the resources with what has become of it.

    Where a resource belongs is said by its last assignment, even if listings don't show that yet:
    assigning it to the same project once more says `already_assigned`.
    """
    call.need("project:update", "project:assign_resource")
    project = call.project(project_id)
    urns = _urns(call.document())
    for resource_type in sorted({urn.type for urn in urns}):
        call.need(f"{resource_type}:read")
    return {"resources": [_assign(call, project, urn) for urn in urns]}


def _document(assignment: Assignment, status: str) -> dict[str, Any]:
    urn = assignment.urn
    link = _SELF.get(urn.type, f"https://api.digitalocean.com/v2/{urn.type}s/{{}}")
    return {
        "urn": str(urn),
        "assigned_at": assignment.assigned_at,
        "links": {"self": link.format(urn.id)},
        "status": status,
    }


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


def _assign(call: Call, project: StoredProject, urn: URN) -> dict[str, Any]:
    if (status := call.status_of(urn)) is not None:
        return {"urn": str(urn), "status": status}
    account = call.account
    assignment = account.assignment(urn)
    if assignment is None:
        return {"urn": str(urn), "status": "not_found"}
    if assignment.project_id == project.id:
        return _document(assignment, "already_assigned")
    return _document(account.place(urn, project, account.move_delay), "assigned")
