"""Lookup: finds a project by its name or id, or by a resource that it holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._arguments import is_project_id, name_of
from ._codec.models import Project
from ._defaults import DEFAULT_PROJECT
from ._errors import ProjectLookupError
from ._paginator.reader import ProjectPages

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ._arguments import ProjectLike
    from ._paginator.reader import Reader


async def first_holder(reader: Reader) -> Project | None:
    """Return the first project that holds the wanted resource of a reader; None if none does.

    Raises:
        InventoryError: Projects could not be read, and no other one holds it.
        APIError: An error concerns all projects.
    """
    async for page in ProjectPages(reader):
        if page.resources:
            return page.project
    return None


def named(name: str, projects: Sequence[Project], *, secret: str) -> Project:
    """Return the project with this name.

    Args:
        name: The name.
        projects: All projects of the account.
        secret: The token, which no message may show.

    Raises:
        ProjectLookupError: No project has the name, or several have it.
    """
    return Directory(projects, secret=secret).named(name, hint=_lookup_hint(name))


class Directory:
    """The projects of an account, by their ids and by their names.

    Args:
        projects: All projects of the account.
        secret: The token, which no message may show.
    """

    def __init__(self, projects: Sequence[Project], *, secret: str) -> None:
        self._secret = secret
        self._by_id: dict[str, Project] = {}
        self._by_name: dict[str, list[Project]] = {}
        for project in projects:
            self._by_id.setdefault(project.id.lower(), project)
            if project.is_default:
                self._by_id.setdefault(DEFAULT_PROJECT, project)
            self._by_name.setdefault(project.name, []).append(project)

    def get(self, project: ProjectLike, *, hint: str, or_none: bool) -> Project | None:
        """Return the project that is given by its id or its name.

        A `Project` is looked up by its id, and then by its name: it may be of another account, or
        the project may have been deleted and created again.

        Args:
            project: The project.
            hint: What to do if no project has the name, nor a similar one.
            or_none: Return None if no project has the name.

        Raises:
            ProjectLookupError: No project has the id or the name, or several have the name.
        """
        name = name_of(project)
        if name is None:
            wanted = (project.id if isinstance(project, Project) else str(project)).lower()
            if found := self._by_id.get(wanted):
                return found
            if not isinstance(project, Project):
                raise ProjectLookupError(wanted, is_id=True, secret=self._secret)
            name = project.name
        return None if or_none and name not in self._by_name else self.named(name, hint=hint)

    def named(self, name: str, *, hint: str) -> Project:
        """Return the project with this name.

        Raises:
            ProjectLookupError: No project has the name, or several have it.
        """
        found = tuple(self._by_name.get(name, ()))
        if len(found) != 1:
            alike = () if found else near(name, self._by_name)
            raise ProjectLookupError(name, found, near=alike, hint=hint, secret=self._secret)
        return found[0]


def _lookup_hint(name: str) -> str:
    """Return the method for an argument that is not a name."""
    if name.strip().lower() == DEFAULT_PROJECT:
        return "call get_default() for the default project"
    return "pass an id to get()" if is_project_id(name.strip()) else ""


def near(name: str, existing: Iterable[str]) -> Sequence[str]:
    """Return up to three names of projects that a user may have meant, the nearest first."""
    from difflib import get_close_matches  # noqa: PLC0415 - only this error needs it
    from heapq import nlargest  # noqa: PLC0415 - only this error needs it

    wanted = " ".join(name.casefold().split())
    names: dict[str, list[str]] = {}
    for one in existing:
        names.setdefault(" ".join(one.casefold().split()), []).append(one)
    if same := names.get(wanted):
        return same[:_MOST_NEAR]
    # The comparison of difflib takes 3 ms for two texts of 175 characters, and blocks the event
    # loop. So it gets only the names that share the most with the wanted one at their ends.
    alike = [text for text in names if abs(len(text) - len(wanted)) <= _MOST_MISSING]
    lengths = range(1, len(wanted) + 1, len(wanted) // _STEPS + 1)
    starts, ends = [wanted[:n] for n in lengths], [wanted[-n:] for n in lengths]

    def shared(text: str) -> int:
        return sum(map(text.startswith, starts)) + sum(map(text.endswith, ends))

    likely = nlargest(_MOST_COMPARED, alike, key=shared)
    near = get_close_matches(wanted, likely, n=_MOST_NEAR, cutoff=_LEAST_RATIO)
    return [each for text in near for each in names[text]][:_MOST_NEAR]


_MOST_NEAR = 3
_MOST_MISSING = 8
_MOST_COMPARED = 20
_STEPS = 8
# With the default of difflib, 0.6, "staging" would be near "testing".
_LEAST_RATIO = 0.75
