"""Projects: the subcommands that list, create, update and delete projects."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from digitalocean_projects._defaults import DEFAULT_PROJECT
from digitalocean_projects._errors import APIError

from .listing import status_of
from .output import PROJECT_COLUMNS, Output
from .progress import first_attempts, progress_shown, requests_of
from .project import chosen_project, project_id
from .terminal import FAILED, complain, is_written, label_of, note

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Sequence

    from digitalocean_projects._codec.models import Project
    from digitalocean_projects._facade.sync import Client


def list_projects(client: Client, options: Namespace) -> int:
    """List the projects of the account."""
    paginator = client.projects.list()
    with progress_shown(client, requests_of(client), quiet=options.quiet):
        projects = paginator.collect()
    _write(projects, options)
    return status_of(paginator, options)


def get_project(client: Client, options: Namespace) -> int:
    """Show a project."""
    with progress_shown(client, requests_of(client), quiet=options.quiet):
        project = client.projects.get(project_id(client, options.project))
    _write([project], options)
    return 0


def create_project(client: Client, options: Namespace) -> int:
    """Create a project."""
    name = options.name if options.named is None else options.named
    failure = None
    try:
        with progress_shown(client, requests_of(client), quiet=options.quiet):
            project = client.projects.create(
                name,
                options.purpose,
                description=options.description or "",
                environment=options.environment,
            )
    except KeyboardInterrupt:
        note(f"may have been created: {label_of(name)}")
        raise
    if options.default:
        try:
            with progress_shown(client, requests_of(client), quiet=options.quiet):
                project = client.projects.patch(project, is_default=True)
        except APIError as error:
            failure = error
        except KeyboardInterrupt:
            is_written(partial(_write, [project], options))
            note("the project was created, and it may be the default project")
            raise
    written = is_written(partial(_write, [project], options))
    if failure:
        complain(f"the project was created, but it is not the default project: {failure}")
    return FAILED if failure or not written else 0


def update_project(client: Client, options: Namespace) -> int:
    """Update a project."""
    project = chosen_project(client, options.project, quiet=options.quiet)
    try:
        with progress_shown(client, requests_of(client), quiet=options.quiet):
            updated = client.projects.patch(
                project,
                name=options.name,
                description=options.description,
                purpose=options.purpose,
                environment=options.environment,
                is_default=options.default,
            )
    except KeyboardInterrupt:
        note(f"may have been updated: {label_of(options.project)}")
        raise
    _write([updated], options)
    return 0


def delete_projects(client: Client, options: Namespace) -> int:
    """Delete projects, and account for each of them."""
    if DEFAULT_PROJECT in options.projects:
        raise ValueError("the default project can't be deleted")
    status = 0
    look = requests_of(client, "resources to leave the project")
    left = list(dict.fromkeys(options.projects))
    while left:
        text, before = left[0], None
        try:
            with progress_shown(client, look, quiet=options.quiet):
                project = project_id(client, text)
                before = first_attempts(client)
                client.projects.delete(project, wait=options.wait)
        except APIError as error:
            complain(f"{label_of(text)}: {error}")
            status = FAILED
        except KeyboardInterrupt:
            if before is not None and first_attempts(client) > before:
                note(f"may have been deleted: {label_of(left.pop(0))}")
            for rest in left:
                note(f"not deleted: {label_of(rest)}")
            raise
        else:
            note(f"deleted: {label_of(text)}", quiet=options.quiet)
        del left[0]
    return status


def _write(projects: Sequence[Project], options: Namespace) -> None:
    Output(options, PROJECT_COLUMNS).write(projects)
