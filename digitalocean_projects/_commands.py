"""What the command's subcommands do with a client."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ._codec import encode, encode_members
from ._errors import AssignmentError
from ._request import one_line
from ._settable import is_project_id

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from ._models import Project, Resource
    from ._results import AssignmentResult, Reconciliation
    from ._sync import Client, Paginator
    from ._urn import URN

PROGRAM = "digitalocean-projects"
FAILED = 1


def note(text: str) -> None:
    """Tell the user something beside the output."""
    print(f"# {text}", file=sys.stderr)


def list_resources(client: Client, options: Namespace) -> int:
    """List a project's resources."""
    paginator = client.projects.list_resources(_project_id(client, options.project))
    if options.output == "json":
        _print_json(encode(paginator.collect()))
    else:
        count = number = 0
        for page in paginator.pages():
            _print_resources(page.items)
            count, number = count + len(page.items), page.number
        note(f"{count} resources on {number} pages")
    _note_change(paginator)
    return 0


def assign(client: Client, options: Namespace) -> int:
    """Move resources to a project."""
    project_id = _project_id(client, options.project)
    urns = _urns(options.resources)
    return _tell(lambda: client.projects.assign_resources(project_id, urns), options)


def unassign(client: Client, options: Namespace) -> int:
    """Move resources to the default project."""
    urns = _urns(options.resources)
    return _tell(lambda: client.projects.unassign_resources(urns), options)


def reconcile(client: Client, options: Namespace) -> int:
    """Bring a project to a wanted state."""
    desired = list(_lines(options.file))
    if options.prune and not desired:
        raise ValueError("there is no URN to keep, so all would be pruned: unassign them instead")
    project_id = _project_id(client, options.project)
    try:
        done = client.projects.reconcile(
            project_id, desired, dry_run=options.dry_run, prune=options.prune
        )
    except AssignmentError as error:
        return _tell_failure(error, options)
    with _read_or_not():
        if options.output == "json":
            _print_json(encode_members(_as_members(done)))
        else:
            for urn in done.added:
                print(f"+ {one_line(str(urn))}")
            for urn in done.removed:
                print(f"- {one_line(str(urn))}")
            _print_resources(done.failed)
    _note_unknown(done.unknown)
    to_be = " to be" if options.dry_run else ""
    note(
        f"{len(done.added)}{to_be} added, {len(done.removed)}{to_be} removed, {len(done.kept)} kept"
    )
    return FAILED if done.failed or done.unknown else 0


def list_projects(client: Client, options: Namespace) -> int:
    """List the projects."""
    paginator = client.projects.list()
    status = _tell_projects(paginator.collect(), options)
    _note_change(paginator)
    return status


def get_project(client: Client, options: Namespace) -> int:
    """Show a project."""
    project = client.projects.get(_project_id(client, options.project))
    return _tell_projects([project], options)


def create_project(client: Client, options: Namespace) -> int:
    """Make a project."""
    project = client.projects.create(
        options.name,
        options.purpose,
        description=options.description or "",
        environment=options.environment,
    )
    return _tell_projects([project], options)


def update_project(client: Client, options: Namespace) -> int:
    """Change a project."""
    project = client.projects.patch(
        _project_id(client, options.project),
        name=options.name,
        description=options.description,
        purpose=options.purpose,
        environment=options.environment,
        is_default=options.default or None,
    )
    return _tell_projects([project], options)


def delete_project(client: Client, options: Namespace) -> int:
    """Delete a project."""
    client.projects.delete(_project_id(client, options.project), wait=options.wait)
    return 0


def discard_output() -> None:
    """Write to nowhere: whoever read the output has enough, and Python would flush at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _project_id(client: Client, text: str) -> str:
    """What `text` names: a project's id, `default`, or else the name of one."""
    return text if is_project_id(text) else client.projects.find(text).id


def _lines(name: str) -> Iterator[str]:
    """The lines of a file, or of standard input, but for empty ones and comments."""
    lines = sys.stdin if name == "-" else Path(name).read_text("utf-8-sig").splitlines()
    for line in map(str.strip, lines):
        if line and not line.startswith("#"):
            yield line


def _urns(arguments: Iterable[str]) -> list[str]:
    return [
        urn
        for argument in arguments
        for urn in (_lines(argument) if argument == "-" else [argument])
    ]


def _tell(assigning: Callable[[], AssignmentResult], options: Namespace) -> int:
    try:
        result = assigning()
    except AssignmentError as error:
        return _tell_failure(error, options)
    _tell_resources(result, options)
    return FAILED if result.failed or result.unknown else 0


def _tell_failure(error: AssignmentError, options: Namespace) -> int:
    _tell_resources(error, options)
    for urn in error.untouched:
        note(f"nothing was done with {urn}")
    print(f"{PROGRAM}: {error.error}", file=sys.stderr)
    return FAILED


def _tell_resources(told: AssignmentResult | AssignmentError, options: Namespace) -> None:
    resources = told.done + told.failed if isinstance(told, AssignmentError) else told.resources
    with _read_or_not():
        if options.output == "json":
            _print_json(encode(resources))
        else:
            _print_resources(resources)
    _note_unknown(told.unknown)


@contextmanager
def _read_or_not() -> Iterator[None]:
    """Go on where nobody reads the output any more: what became of resources is to be told."""
    try:
        yield
    except BrokenPipeError:
        discard_output()


def _note_change(paginator: Paginator[Any]) -> None:
    if not paginator.settled:
        note("something changed meanwhile, and may be missing")


def _note_unknown(urns: Iterable[URN]) -> None:
    for urn in urns:
        note(f"it is unknown what became of {urn}")


def _tell_projects(projects: Sequence[Project], options: Namespace) -> int:
    if options.output == "json":
        _print_json(encode(projects))
    else:
        for project in projects:
            # Without what a server might send to play with the terminal.
            name, environment = one_line(project.name), one_line(project.environment)
            is_default = "default" if project.is_default else ""
            print(
                f"{one_line(project.id):<36}  {name:<32}  {environment:<11}  {is_default}".rstrip()
            )
    return 0


def _as_members(done: Reconciliation) -> dict[str, list[str]]:
    urns = {
        "added": done.added,
        "removed": done.removed,
        "kept": done.kept,
        "failed": [resource.urn for resource in done.failed],
        "unknown": done.unknown,
    }
    return {name: list(map(str, some)) for name, some in urns.items()}


def _print_resources(resources: Iterable[Resource]) -> None:
    for resource in resources:
        assigned_at = resource.assigned_at.isoformat() if resource.assigned_at else ""
        urn, status = one_line(str(resource.urn)), one_line(resource.status or "")
        print(f"{urn:<48}  {status:<16}  {assigned_at}".rstrip())
    print(end="", flush=True)


def _print_json(document: bytes) -> None:
    print(document.decode(), flush=True)
