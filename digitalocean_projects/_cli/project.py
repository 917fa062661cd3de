"""Project: the projects that arguments name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from digitalocean_projects._arguments import NAME_PREFIX, is_project_id
from digitalocean_projects._errors import APIError
from digitalocean_projects._paginator.reader import concerns_all

from .progress import progress_shown, requests_of
from .terminal import label_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from digitalocean_projects._codec.models import Project
    from digitalocean_projects._facade.sync import Client


def chosen_project(client: Client, text: str, *, quiet: bool) -> str:
    """Return the id of the project that an argument names, and show a long search."""
    with progress_shown(client, requests_of(client), quiet=quiet):
        return project_id(client, text)


def chosen_projects(
    client: Client, names: Iterable[str], *, quiet: bool
) -> tuple[list[Project], list[str]]:
    """Return the projects that are named so, each once, and a message for each that isn't found.

    Raises:
        APIError: The request for any other project would raise the same error.
    """
    found: dict[str, Project] = {}
    failures: list[str] = []
    with progress_shown(client, requests_of(client), quiet=quiet):
        for name in names:
            try:
                project = project_named(client, name)
            except APIError as error:
                if concerns_all(error):
                    raise
                failures.append(f"{label_of(name)}: {error}")
            else:
                found[project.id] = project
    return list(found.values()), failures


def project_named(client: Client, text: str) -> Project:
    """Return the project with this UUID or name, or the default one; see `project_id`."""
    if not text.startswith(NAME_PREFIX) and is_project_id(text):
        return client.projects.get(text)
    return client.projects.find(text.removeprefix(NAME_PREFIX))


def project_id(client: Client, text: str) -> str:
    """Return `text` if it is a project's UUID or `default`, else the id of the project so named.

    Text after `name:` is always a name.
    """
    return text if is_project_id(text) else project_named(client, text).id
