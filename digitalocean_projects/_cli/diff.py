"""Diff: the subcommand that compares two exports, or an export with the account."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import attrs

from digitalocean_projects._defaults import DEFAULT_PROJECT
from digitalocean_projects._paginator.reader import hidden_in

from .account_file import AccountProject, read_account_file
from .arguments.tables import CHANGES
from .output import Column, Columns, Output
from .progress import progress_shown, requests_of
from .terminal import STDIN, complain, counted, is_written, note

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterable, Iterator, Sequence

    from digitalocean_projects._codec.models import ProjectResources
    from digitalocean_projects._codec.urn import URN
    from digitalocean_projects._facade.sync import Client


_DIFFERENT = 1
_TROUBLE = 2
_READINGS = 3
_KINDS = ("moved", "added", "removed")


@attrs.frozen
class Change:
    """A resource that is not in the same project on both sides.

    Attributes:
        kind: `moved`, `added` or `removed`.
        urn: The resource.
        source: Its project on the old side; None if it is added.
        target: Its project on the new side; None if it is removed.
    """

    kind: str
    urn: URN
    source: AccountProject | None
    target: AccountProject | None

    def members(self) -> dict[str, object]:
        """Return the members of the JSON object for the change."""
        sides = {"from": self.source, "to": self.target}
        projects = {
            name: None if side is None else {"id": side.id, "name": side.name}
            for name, side in sides.items()
        }
        return {"change": self.kind, "urn": str(self.urn), **projects}

    def label(self, side: AccountProject | None) -> str:
        """Return the text for the project on a side, with its id if the name does not suffice."""
        if side is None:
            return ""
        if self.source and self.target and self.source.label == self.target.label:
            return f"{side.label} ({side.id})"
        return side.label


_COLUMNS = Columns[Change](
    CHANGES,
    (
        Column("Change", lambda change: change.kind, lambda change: change.kind == _KINDS[-1]),
        Column("URN", lambda change: str(change.urn)),
        Column("From", lambda change: change.label(change.source)),
        Column("To", lambda change: change.label(change.target)),
    ),
    plain=Change.members,
)


def diff(client: Client | None, options: Namespace) -> int:
    """Compare two exports, or an export with the account."""
    if options.old == options.new == STDIN:
        raise ValueError("OLD and NEW must not both be standard input")
    output = Output(options, _COLUMNS)
    new: Sequence[AccountProject]
    old = read_account_file(options.old, quiet=options.quiet)
    if client is None:
        new = read_account_file(options.new, quiet=options.quiet)
        changes = compared(old, new)
    else:
        with progress_shown(client, requests_of(client), quiet=options.quiet):
            found = _compared_with_account(client, old)
        if isinstance(found, str):
            complain(found)
            return _TROUBLE
        changes, new = found
    if (changes or not output.is_text) and not is_written(partial(output.write, changes)):
        return _TROUBLE
    counts = [sum(change.kind == kind for change in changes) for kind in _KINDS]
    kept = sum(len(project.urns) for project in new) - counts[0] - counts[1]
    texts = [f"{count:,} {kind}" for count, kind in zip(counts, _KINDS, strict=True)]
    note(f"{', '.join(texts)}, {kept:,} unchanged", quiet=options.quiet)
    return _DIFFERENT if changes else 0


def compared(old: Sequence[AccountProject], new: Sequence[AccountProject]) -> list[Change]:
    """Return the changes from an old account to a new one, ordered by their kinds and projects.

    Raises:
        ValueError: A project of one side may be one of the other side, or another one.
    """
    same = _same_projects(old, new)
    before = {urn: project for project in old for urn in project.urns}
    after = {urn: project for project in new for urn in project.urns}
    changes: list[Change] = []
    for urn in {**before, **after}:
        source, target = before.get(urn), after.get(urn)
        if source is None:
            changes.append(Change("added", urn, source, target))
        elif target is None:
            changes.append(Change("removed", urn, source, target))
        elif same.get(id(source)) is not target:
            changes.append(Change("moved", urn, source, target))

    def order(change: Change) -> tuple[int, str, str, str]:
        source, target = change.label(change.source), change.label(change.target)
        return _KINDS.index(change.kind), source, target, change.urn

    return sorted(changes, key=order)


def _same_projects(
    old: Sequence[AccountProject], new: Sequence[AccountProject]
) -> dict[int, AccountProject]:
    """Return the project of the new side by the identity of the same one of the old side."""
    same: dict[int, AccountProject] = {}
    left = {id(one): one for one in new}

    twin: AccountProject | None

    def pair(project: AccountProject, twin: AccountProject | None) -> None:
        if twin is not None:
            same[id(project)] = left.pop(id(twin))

    by_id = {known: one for one in new if (known := _known_id(one))}
    for project in old:
        pair(project, by_id.get(_known_id(project)))  # none has ""
    for project in _defaults(old, same):
        for twin in _defaults(new, {id(one): one for one in new if id(one) not in left}):
            if DEFAULT_PROJECT in {project.id, twin.id}:
                pair(project, twin)
    by_name = {one.name: one for one in left.values() if one.name is not None}
    for project in old:
        twin = None if id(project) in same else by_name.get(project.name or "")
        if twin is not None and not (_known_id(project) and _known_id(twin)):
            pair(project, twin)
    _check_strangers([one for one in old if id(one) not in same], left.values())
    return same


def _check_strangers(old: Iterable[AccountProject], new: Iterable[AccountProject]) -> None:
    """Check that projects without a same one on the other side are other ones for certain.

    Raises:
        ValueError: A project may be one of the other side.
    """
    # Projects that have the same members give the same answer.
    kinds = {(bool(_known_id(one)), bool(one.name)): one for one in new}
    for project in old:
        for (has_id, has_name), one in kinds.items():
            if not ((_known_id(project) and has_id) or (project.name and has_name)):
                raise ValueError(
                    f"{one.place}: {one.label!r} may be {project.label!r} at {project.place}; "
                    "write both files with 'inventory --with-projects -o jsonl'"
                )


def _known_id(project: AccountProject) -> str:
    """Return the UUID of a project; "" if it is unknown."""
    return "" if project.id is None or project.id == DEFAULT_PROJECT else project.id


def _defaults(
    some: Sequence[AccountProject], paired: dict[int, AccountProject]
) -> list[AccountProject]:
    """Return the default project, unless it is paired."""
    return [project for project in some if project.is_default and id(project) not in paired]


def _compared_with_account(
    client: Client, old: Sequence[AccountProject]
) -> tuple[list[Change], Sequence[AccountProject]] | str:
    """Return the changes and the projects of the account, or the reason why they are unknown.

    A resource that moves during a reading can be missed by it. So it is gone only if a second
    reading has the same result.
    """
    previous, doubt = None, ""
    for _ in range(_READINGS):
        reading = _Reading(client)
        new, doubt = reading.projects(), reading.doubt
        changes = [] if doubt else compared(old, new)
        gone = [change for change in changes if change.target is None]
        if not doubt and (not gone or new == previous):
            if gone and reading.hidden:
                return (
                    f"{gone[0].urn}: it may be one of the {counted(reading.hidden, 'resource')} "
                    "that the account has but the token may not see"
                )
            return changes, new
        previous = None if doubt else new
    return f"{doubt or 'the account changed while it was read'}, in every attempt; try again later"


class _Reading:
    """A reading of the account.

    Attributes:
        doubt: The sign that the result may be wrong; "" for none.
        hidden: The number of resources that the API counts but does not list.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self.doubt = ""
        self.hidden = 0

    def projects(self) -> Sequence[AccountProject]:
        """Return the projects and their resources.

        Raises:
            APIError: The account could not be read completely.
        """
        paginator = self._client.projects.list()
        listed = paginator.collect()
        if not paginator.settled:
            self.doubt = "the projects changed while they were listed"
        return tuple(self._read(self._client.projects.resources_by_project(listed).pages()))

    def _read(self, pages: Iterable[ProjectResources]) -> Iterator[AccountProject]:
        places: dict[URN, str] = {}
        for page in pages:
            project = page.project
            urns = tuple({resource.urn.canonical: None for resource in page.resources})
            self.hidden += max(hidden_in(page), 0)
            if not page.settled:
                self.doubt = f"{project.name!r} changed while it was listed"
            for urn in urns:
                if urn in places:
                    self.doubt = f"{urn} was listed in {places[urn]!r} and in {project.name!r}"
                places[urn] = project.name
            yield AccountProject(
                id=project.id.lower(),
                name=project.name,
                is_default=project.is_default,
                attributes={},
                urns=urns,
                place="the account",
            )
