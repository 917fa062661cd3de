"""Results: what became of the resources that an operation was asked about."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

import attrs

from ._errors import AssignmentError
from ._models import ResourceStatus

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ._models import Resource
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
