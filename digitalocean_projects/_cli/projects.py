"""What the command's subcommands on projects do with a client."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .output import PROJECT_COLUMNS, Output
from .progress import told
from .resources import note_change, project_id, requests_of

if TYPE_CHECKING:
    from argparse import Namespace

    from digitalocean_projects._facade.sync import Client


def list_projects(client: Client, options: Namespace) -> int:
    """List the projects."""
    output = Output(options, PROJECT_COLUMNS)
    paginator = client.projects.list()
    output.write(paginator.collect())
    note_change(paginator)
    return 0


def get_project(client: Client, options: Namespace) -> int:
    """Show a project."""
    output = Output(options, PROJECT_COLUMNS)
    output.write([client.projects.get(project_id(client, options.project))])
    return 0


def create_project(client: Client, options: Namespace) -> int:
    """Make a project."""
    output = Output(options, PROJECT_COLUMNS)
    project = client.projects.create(
        options.name if options.named is None else options.named,
        options.purpose,
        description=options.description or "",
        environment=options.environment,
    )
    output.write([project])
    return 0


def update_project(client: Client, options: Namespace) -> int:
    """Change a project."""
    output = Output(options, PROJECT_COLUMNS)
    project = client.projects.patch(
        project_id(client, options.project),
        name=options.name,
        description=options.description,
        purpose=options.purpose,
        environment=options.environment,
        is_default=options.default,
    )
    output.write([project])
    return 0


def delete_project(client: Client, options: Namespace) -> int:
    """Delete a project."""
    project = project_id(client, options.project)
    with told(client, requests_of(client), quiet=options.quiet):
        client.projects.delete(project, wait=options.wait)
    return 0
