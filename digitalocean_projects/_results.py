"""Results: what became of the resources that an operation was asked about."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

import attrs

from ._errors import AssignmentError
from ._models import Resource, ResourceStatus

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ._urn import URN

_DONE = frozenset(
    {None, ResourceStatus.OK, ResourceStatus.ASSIGNED, ResourceStatus.ALREADY_ASSIGNED}
)


@attrs.frozen(kw_only=True)
class AssignmentResult:
    """What the API said of each resource that it was asked to assign.

    Args:
        resources: The API's words on each resource, in the order asked, each once. A name that
            the API lists under another one, such as `reservedip`, comes back as that one.
        unknown: The resources that the API left out of its answer.
    """

    resources: tuple[Resource, ...]
    unknown: tuple[URN, ...]

    @classmethod
    def of(cls, urns: Iterable[URN], answered: Mapping[URN, Resource]) -> Self:
        """The result for `urns`, from what was answered to their canonical forms."""
        resources, unknown = [], []
        for urn in urns:
            if (resource := answered.get(urn.canonical)) is None:
                unknown.append(urn)
            else:
                resources.append(resource)
        return cls(resources=tuple(resources), unknown=tuple(unknown))

    @property
    def done(self) -> tuple[Resource, ...]:
        """The resources that are in the project now.

        Their status is `ok`, `assigned`, `already_assigned` or None.
        """
        return tuple(resource for resource in self.resources if resource.status in _DONE)

    @property
    def failed(self) -> tuple[Resource, ...]:
        """The resources that the API didn't assign, such as for `not_found` or `service_down`."""
        return tuple(resource for resource in self.resources if resource.status not in _DONE)

    def raise_for_failed(self) -> None:
        """Do nothing if every resource is in the project now.

        Raises:
            AssignmentError: One failed or is unknown.
        """
        if self.failed or self.unknown:
            raise AssignmentError(done=self.done, failed=self.failed, unknown=self.unknown)


NOTHING_ASSIGNED = AssignmentResult(resources=(), unknown=())


@attrs.frozen(kw_only=True)
class Reconciliation:
    """What was done to bring a project to a wanted state.

    Args:
        added: The resources that were assigned to it.
        removed: Those that were moved from it to the default project.
        kept: Those that were in it, as they should be, or on their way to it.
        failed: Those that the API didn't assign or move; their `status` says why.
        unknown: Those that it left out of its answer.
    """

    added: tuple[URN, ...]
    removed: tuple[URN, ...]
    kept: tuple[URN, ...]
    failed: tuple[Resource, ...] = ()
    unknown: tuple[URN, ...] = ()

    @classmethod
    def plan(cls, held: Iterable[URN], wanted: Iterable[URN], *, prune: bool) -> Self:
        """What is to be done."""
        present = dict.fromkeys(urn.canonical for urn in held)
        desired = {urn.canonical: urn for urn in wanted}
        return cls(
            added=tuple(urn for key, urn in desired.items() if key not in present),
            removed=tuple(urn for urn in present if prune and urn not in desired),
            kept=tuple(urn for urn in present if urn in desired),
        )

    def carried_out(self, added: AssignmentResult, removed: AssignmentResult) -> Self:
        """The same, after what the API said."""
        already = ResourceStatus.ALREADY_ASSIGNED
        there = dict.fromkeys(r.urn for r in added.done if r.status == already)
        return attrs.evolve(
            self,
            added=tuple(resource.urn for resource in added.done if resource.urn not in there),
            kept=(*self.kept, *there),
            removed=tuple(resource.urn for resource in removed.done),
            failed=added.failed + removed.failed,
            unknown=added.unknown + removed.unknown,
        )

    @property
    def changed(self) -> bool:
        """Whether anything was to be done."""
        return bool(self.added or self.removed or self.failed or self.unknown)

    def raise_for_failed(self) -> None:
        """Do nothing if the project is in the wanted state.

        Raises:
            AssignmentError: A resource failed or is unknown.
        """
        if self.failed or self.unknown:
            done = tuple(Resource(urn) for urn in self.added + self.removed)
            raise AssignmentError(done=done, failed=self.failed, unknown=self.unknown)
