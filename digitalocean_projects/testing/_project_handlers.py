"""Project handlers: one function for each operation on projects.

https://docs.digitalocean.com/reference/api/reference/projects/

Two refusals are not documented, but were observed: a name that is taken is a 409, and `is_default:
false` for the default project is a 400, and so is a deletion of that project by its UUID. Any other
invalid attribute is a 400, too. Read-only attributes and unknown ones are ignored.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import attrs

from ._account import NameTakenError
from ._answer import RefusedError
from ._project import answered_purpose

if TYPE_CHECKING:
    from collections.abc import Callable

    from ._call import Call
    from ._project import StoredProject

T = TypeVar("T")

_CREATED = ("name", "description", "purpose", "environment")
_CHANGED = (*_CREATED, "is_default")


def list_projects(call: Call) -> dict[str, Any]:
    """List all projects, newest first; the default one has no special place."""
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
    """Change some attributes of a project; null leaves one unchanged."""
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
    if isinstance(purpose := attributes.get("purpose"), str):
        attributes["purpose"] = answered_purpose(purpose)
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
    return attrs.asdict(project, recurse=False)
