"""Results: the outcome of an operation for each resource that it was called with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Self, TypeAlias, cast

import attrs

from digitalocean_projects._codec.enums import ResourceStatus
from digitalocean_projects._codec.models import Project, Refusal, Resource, Value
from digitalocean_projects._codec.urn import URN
from digitalocean_projects._codec.urns import as_urn
from digitalocean_projects._errors import APIError, AssignmentError, ClientUsageError
from digitalocean_projects._public import publish

DONE = frozenset(
    {None, ResourceStatus.OK, ResourceStatus.ASSIGNED, ResourceStatus.ALREADY_ASSIGNED}
)
REFUSED = "refused"

Fate: TypeAlias = Resource | Refusal | None
"""The API's answer about a resource, its refusal, or None if its outcome is unknown."""


@attrs.frozen(kw_only=True, repr=False)
class AssignmentResult(Value):
    """The outcome of an assignment for each resource.

    Each resource is in one of `done`, `failed`, `unknown` and `untouched`. Each of these has the
    order in which the resources were passed. `to_dict` returns the fields. The class methods `of`,
    `of_error` and `joined` are internal.

    Args:
        resources: The resources in `done` and `failed`, whose outcome is known. Their URN is the
            one in the API's response, which may differ from the one that was passed: `floatingip`
            for `reservedip`. A resource with the status `refused` keeps the URN that was passed.
        unknown: The resources that are missing from the API's response.
        untouched: The resources that were sent only in requests that the API refused as a whole.
            To find the refused resources of a chunk, the client sends at most 16 more requests.
        refused: The API's error for each resource whose status is `refused`.
        request_ids: The ids of the requests whose responses had outcomes, in order. DigitalOcean's
            support asks for them. Two results may be equal although their ids differ.
    """

    resources: tuple[Resource, ...]
    unknown: tuple[URN, ...]
    untouched: tuple[URN, ...] = ()
    refused: tuple[Refusal, ...] = ()
    request_ids: tuple[str, ...] = attrs.field(default=(), eq=False)

    @classmethod
    def of(
        cls,
        urns: Iterable[str],
        fates: Mapping[Any, Fate],
        request_ids: Iterable[str] = (),
        *,
        keys: Iterable[str] | None = None,
    ) -> Self:
        """Return the result for `urns`, from the fates of their canonical forms.

        A resource without a fate is untouched.

        Args:
            urns: The resources.
            fates: The fates.
            request_ids: The ids of the requests.
            keys: The canonical forms, if the caller has them.
        """
        urns = tuple(map(as_urn, urns)) if keys is None else urns
        keys = [as_urn(urn).canonical for urn in urns] if keys is None else keys
        found = list(map(fates.get, keys))
        if {Resource}.issuperset(map(type, found)):
            usual = cast("list[Resource]", found)
            return cls(resources=tuple(usual), unknown=(), request_ids=tuple(request_ids))
        resources: list[Resource] = []
        unknown, untouched, refused = [], [], []
        for urn, key in zip(urns, keys, strict=True):
            if key not in fates:
                untouched.append(as_urn(urn))
                continue
            fate = fates[key]
            if isinstance(fate, Refusal):
                refused.append(fate)
                resources.append(Resource(urn, status=REFUSED))
            elif fate is None:
                unknown.append(as_urn(urn))
            else:
                resources.append(fate)
        return cls(
            resources=tuple(resources),
            unknown=tuple(unknown),
            untouched=tuple(untouched),
            refused=tuple(refused),
            request_ids=tuple(request_ids),
        )

    @classmethod
    def joined(cls, results: Iterable[Self]) -> Self:
        """Return one result for the resources of several results."""
        parts = tuple(results)
        return cls(
            resources=tuple(resource for part in parts for resource in part.resources),
            unknown=tuple(urn for part in parts for urn in part.unknown),
            untouched=tuple(urn for part in parts for urn in part.untouched),
            refused=tuple(refusal for part in parts for refusal in part.refused),
            request_ids=tuple(each for part in parts for each in part.request_ids),
        )

    def __repr__(self) -> str:
        return counts(self, "done", "failed", "unknown", "untouched")

    @classmethod
    def of_error(cls, error: AssignmentError) -> Self:
        """Return the outcome of an assignment that an error has ended."""
        return cls(
            resources=error.done + error.failed,
            unknown=error.unknown,
            untouched=error.untouched,
            refused=error.refused,
            request_ids=error.request_ids,
        )

    @property
    def done(self) -> tuple[Resource, ...]:
        """The resources that the API assigned, now or before.

        Their status is `ok`, `assigned`, `already_assigned` or None.
        """
        return tuple(resource for resource in self.resources if resource.status in DONE)

    @property
    def failed(self) -> tuple[Resource, ...]:
        """The resources that the API didn't assign.

        Their status is `not_found`, `service_down`, `refused` (see the attribute `refused`), or a
        new one that the API may introduce.
        """
        return tuple(resource for resource in self.resources if resource.status not in DONE)

    def raise_for_failed(self) -> None:
        """Raise an error unless every resource is in `done`.

        Raises:
            AssignmentError: A resource is in `failed`, `unknown` or `untouched`. The message names
                the first ones, with their status or the API's error.
        """
        if self.failed or self.unknown or self.untouched:
            raise assignment_error(self.done, self)


@attrs.frozen(kw_only=True, repr=False)
class Reconciliation(Value):
    """The changes that `reconcile` made to a project, or would make with `dry_run`.

    `to_dict` returns the fields. The methods `plan` and `carried_out` are internal.

    Args:
        added: The resources that were assigned to the project.
        removed: The resources that were moved from it to the default project.
        kept: The desired resources that the project held already, or that were moving to it.
        failed: The resources that the API didn't move; their `status` says why.
        unknown: The resources that are missing from the API's response.
        untouched: The resources that were sent only in requests that the API refused as a whole,
            and those to remove that had left the project before the first removal.
        refused: The API's error for each resource whose status is `refused`.
        request_ids: The ids of the requests whose responses had outcomes, in order. DigitalOcean's
            support asks for them. Two results may be equal although their ids differ.
    """

    added: tuple[URN, ...]
    removed: tuple[URN, ...]
    kept: tuple[URN, ...]
    failed: tuple[Resource, ...] = ()
    unknown: tuple[URN, ...] = ()
    untouched: tuple[URN, ...] = ()
    refused: tuple[Refusal, ...] = ()
    request_ids: tuple[str, ...] = attrs.field(default=(), eq=False)

    def __repr__(self) -> str:
        return counts(self, "added", "removed", "kept", "failed", "unknown", "untouched")

    @classmethod
    def plan(cls, held: Iterable[URN], wanted: Iterable[URN], *, prune: bool) -> Self:
        """Return the changes to make."""
        present = {urn.canonical: urn for urn in held}
        desired = {urn.canonical: urn for urn in wanted}
        return cls(
            added=tuple(urn for key, urn in desired.items() if key not in present),
            removed=tuple(urn for key, urn in present.items() if prune and key not in desired),
            kept=tuple(urn for key, urn in present.items() if key in desired),
        )

    def carried_out(self, added: AssignmentResult, removed: AssignmentResult) -> Self:
        """Return the changes that were made, given the results of adding and of removing."""
        assigned, there = split_done(added.done)
        both = AssignmentResult.joined((added, removed))
        return attrs.evolve(
            self,
            added=assigned,
            kept=self.kept + there,
            removed=tuple(resource.urn for resource in removed.done),
            failed=both.failed,
            unknown=both.unknown,
            untouched=both.untouched,
            refused=both.refused,
            request_ids=both.request_ids,
        )

    @property
    def changed(self) -> bool:
        """True if the project lacked a resource or held one to remove, even if the move failed."""
        return bool(self.added or self.removed or self._left)

    @property
    def _left(self) -> bool:
        return bool(self.failed or self.unknown or self.untouched)

    def raise_for_failed(self) -> None:
        """Raise an error unless all changes were made.

        Raises:
            AssignmentError: A resource is in `failed`, `unknown` or `untouched`. Its `done` has the
                resources in `added` and `removed`.
        """
        if self._left:
            raise assignment_error([Resource(urn) for urn in self.added + self.removed], self)


@attrs.frozen(kw_only=True, repr=False)
class AppliedPlan(Value):
    """The outcome of a plan for each of its resources.

    Each resource of the plan is in one of `moved`, `kept`, `left`, `failed`, `unknown` and
    `untouched`. `to_dict` returns the fields. The class method `of` is internal.

    Args:
        created: The projects that were created.
        moved: The resources that were assigned to their project.
        kept: The resources that were in their project already, or that were moving to it.
        left: The resources that weren't moved, because their source project no longer listed them
            just before its first move. Their target doesn't list them either. Make another plan to
            see where they are.
        failed: The resources that the API didn't move; their `status` says why.
        unknown: The resources that are missing from the API's response.
        untouched: The resources that were sent only in requests that the API refused as a whole.
        refused: The API's error for each resource whose status is `refused`.
        request_ids: The ids of the requests whose responses had outcomes, in order. DigitalOcean's
            support asks for them. Two results may be equal although their ids differ.
    """

    created: tuple[Project, ...]
    moved: tuple[URN, ...]
    kept: tuple[URN, ...]
    left: tuple[URN, ...] = ()
    failed: tuple[Resource, ...] = ()
    unknown: tuple[URN, ...] = ()
    untouched: tuple[URN, ...] = ()
    refused: tuple[Refusal, ...] = ()
    request_ids: tuple[str, ...] = attrs.field(default=(), eq=False)

    def __repr__(self) -> str:
        names = ("created", "moved", "kept", "left", "failed", "unknown", "untouched")
        return counts(self, *names)

    @classmethod
    def of(
        cls,
        results: Iterable[AssignmentResult],
        *,
        created: Iterable[Project],
        kept: Iterable[URN],
        left: Iterable[URN],
    ) -> Self:
        """Return the outcome of a plan.

        Args:
            results: The results of its assignments.
            created: The projects that were created.
            kept: The resources that were in their project when the plan was made.
            left: The resources that weren't sent, because they had left their source.
        """
        result = AssignmentResult.joined(results)
        assigned, there = split_done(result.done)
        gone = tuple(left)
        not_sent = set(gone)
        return cls(
            created=tuple(created),
            moved=assigned,
            kept=(*kept, *there),
            left=gone,
            failed=result.failed,
            unknown=result.unknown,
            untouched=tuple(urn for urn in result.untouched if urn not in not_sent),
            refused=result.refused,
            request_ids=result.request_ids,
        )

    def raise_for_failed(self) -> None:
        """Raise an error unless every resource is in `moved` or `kept`.

        Raises:
            AssignmentError: A resource is in `left`, `failed`, `unknown` or `untouched`. Its `done`
                has the resources in `moved`, and its `untouched` those in `left`, too.
        """
        if self.left or self.failed or self.unknown or self.untouched:
            outcome = attrs.evolve(self, untouched=self.left + self.untouched)
            raise assignment_error([Resource(urn) for urn in self.moved], outcome)


def split_done(done: Iterable[Resource]) -> tuple[tuple[URN, ...], tuple[URN, ...]]:
    """Return the resources that the API assigned now, and those that it had assigned before."""
    now: list[URN] = []
    before: list[URN] = []
    for resource in done:
        is_new = resource.status != ResourceStatus.ALREADY_ASSIGNED
        (now if is_new else before).append(resource.urn)
    return tuple(now), tuple(before)


def counts(value: object, *names: str) -> str:
    """Return the `repr` of a value that has many elements: how many are in each field."""
    numbers = " ".join(f"{name}={len(getattr(value, name))}" for name in names)
    return f"<{type(value).__name__} {numbers}>"


def assignment_error(
    done: Iterable[Resource],
    outcome: AssignmentResult | Reconciliation | AppliedPlan,
    error: APIError | ClientUsageError | None = None,
) -> AssignmentError:
    """Return the exception for an outcome.

    Args:
        done: The resources that are where they should be.
        outcome: The outcome for all others.
        error: The error of a request that got no usable response; None if there was none.
    """
    return AssignmentError(
        done=tuple(done),
        failed=outcome.failed,
        unknown=outcome.unknown,
        untouched=outcome.untouched,
        refused=outcome.refused,
        error=error,
        request_ids=outcome.request_ids,
    )


publish(globals())
