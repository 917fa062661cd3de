"""Plan: the changes that bring an account to a wanted state."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Self, TypeAlias

import attrs

from digitalocean_projects._arguments import AnyProject, ProjectLike, creatable
from digitalocean_projects._codec.enums import Environment, Purpose
from digitalocean_projects._codec.models import Project, ProjectResources, Value
from digitalocean_projects._codec.urn import URN
from digitalocean_projects._codec.urns import is_address
from digitalocean_projects._lookup import Directory
from digitalocean_projects._messages import quoted
from digitalocean_projects._paginator.reader import ProjectPages, Reader
from digitalocean_projects._public import publish

from .results import counts

# DigitalOcean's Terraform provider has the same default.
_PURPOSE = Purpose.WEB_APPLICATION


@attrs.frozen(kw_only=True)
class NewProject(Value):
    """A project that `apply` creates.

    The class method `of` is internal.

    Args:
        name: Its name.
        purpose: Its purpose. The default is `Purpose.WEB_APPLICATION`.
        description: Its description. The default is empty.
        environment: An `Environment`; "", the default, for none.
    """

    name: str
    purpose: str = _PURPOSE.value
    description: str = ""
    environment: Environment | str = ""

    @classmethod
    def of(cls, project: ProjectLike) -> Self:
        """Return the project to create for a name, or for a `Project` of another account.

        Raises:
            ValueError: An attribute is invalid, or white space surrounds the name.
        """
        if not isinstance(project, Project):
            name = str(project).removeprefix("name:")
            if name != name.strip():
                raise ValueError(
                    "the name of a project to create must not begin or end with white space, "
                    f"got {quoted(name)}; remove it"
                )
            return cls(name=name)
        new = cls(
            name=project.name,
            purpose=project.purpose or _PURPOSE.value,
            description=project.description,
            environment=project.environment,
        )
        creatable(**attrs.asdict(new))
        return new


_Target: TypeAlias = tuple[Project | NewProject, Sequence[URN]]


@attrs.frozen(kw_only=True)
class Move(Value):
    """A move of a resource from one project to another.

    Args:
        urn: The resource, as the API lists it; as it was passed if no project lists it.
        source: The name of the project that lists the resource; None if no project lists it.
        source_id: The UUID of that project, or None.
        target: The name of the project that must hold the resource.
        target_id: The UUID of that project; None if the project doesn't exist yet.
    """

    urn: URN
    source: str | None
    source_id: str | None
    target: str
    target_id: str | None


@attrs.frozen(kw_only=True, repr=False)
class Plan(Value):
    """The changes that bring an account to a wanted state.

    `AsyncProjects.plan` returns plans, and `AsyncProjects.apply` carries them out. `to_dict`
    returns the fields.

    Args:
        new_projects: The projects to create.
        moves: The resources to move, project by project in the wanted order. The reserved IPs of a
            project come last, since a reserved IP follows the Droplet that it is attached to.
        kept: The wanted resources that are in their project already.
    """

    new_projects: tuple[NewProject, ...] = ()
    moves: tuple[Move, ...] = ()
    kept: tuple[URN, ...] = ()

    def __repr__(self) -> str:
        return counts(self, "new_projects", "moves", "kept")

    @property
    def changed(self) -> bool:
        """True if there is a project to create or a resource to move."""
        return bool(self.new_projects or self.moves)


async def make_plan(
    reader: Reader, wanted: Mapping[AnyProject, Sequence[URN]], *, create: bool
) -> Plan:
    """Return the changes that bring an account to a wanted state.

    Args:
        reader: A strict reader of all projects.
        wanted: The resources that each project must hold. No resource is in two projects.
        create: Create the projects that don't exist.

    Raises:
        ProjectLookupError: A project doesn't exist, or several have the name.
        ValueError: A project can't be created with these attributes.
        APIError: The account could not be read.
    """
    projects = await reader.projects()
    targets = find_targets(wanted, projects, create=create, secret=reader.secret)

    async def listed() -> Sequence[Project]:
        return projects

    pages = ProjectPages(attrs.evolve(reader, projects=listed))
    return plan_moves(targets, [page async for page in pages])


def find_targets(
    wanted: Mapping[AnyProject, Sequence[URN]],
    projects: Sequence[Project],
    *,
    create: bool,
    secret: str,
) -> list[_Target]:
    """Return the projects that must hold resources, together with these."""
    directory = Directory(projects, secret=secret)
    new: dict[str, NewProject] = {}
    targets: list[_Target] = []
    for key, urns in wanted.items():
        target: Project | NewProject | None
        target = directory.get(key, hint="create it, or pass create=True", or_none=create)
        if target is None:
            target = NewProject.of(key)
            target = new.setdefault(target.name, target)
        targets.append((target, urns))
    return targets


def plan_moves(targets: Iterable[_Target], account: Iterable[ProjectResources]) -> Plan:
    """Return the plan for an account, given its projects and their resources."""
    places = _places({urn.canonical for _, urns in targets for urn in urns}, account)
    new: dict[str, NewProject] = {}
    moves: list[Move] = []
    kept: list[URN] = []
    for target, urns in targets:
        if isinstance(target, NewProject):
            new[target.name] = target
        for urn in sorted(urns, key=is_address):
            found = places.get(urn.canonical, [])
            # During a move, both projects may list a resource. `apply` looks at the source again.
            sources = [place for place in found if place[0] is not target]
            if found and not sources:
                kept.append(found[0][1])
                continue
            source, listed = sources[0] if sources else (None, urn)
            moves.append(
                Move(
                    urn=listed,
                    source=None if source is None else source.name,
                    source_id=None if source is None else source.id,
                    target=target.name,
                    target_id=None if isinstance(target, NewProject) else target.id,
                )
            )
    return Plan(new_projects=tuple(new.values()), moves=tuple(moves), kept=tuple(kept))


def _places(
    wanted: set[URN], account: Iterable[ProjectResources]
) -> dict[URN, list[tuple[Project, URN]]]:
    """Return the projects that list each of the wanted resources, with the URN that they list."""
    places: dict[URN, list[tuple[Project, URN]]] = {}
    for each in account:
        for resource in each.resources:
            urn = resource.urn
            key = urn.canonical
            if key in wanted:
                places.setdefault(key, []).append((each.project, urn))
    return places


publish(globals())
