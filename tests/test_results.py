"""Results: each resource asked for is accounted for, and refusals can be raised."""

from __future__ import annotations

import pytest

from digitalocean_projects import (
    URN,
    APIError,
    AssignmentError,
    AssignmentResult,
    Resource,
    ResourceStatus,
)

ONE, TWO, THREE = (URN("droplet", number) for number in (1, 2, 3))
DONE = [None, "ok", "assigned", "already_assigned", *list(ResourceStatus)[:1]]
FAILED = ["not_found", "service_down", "paused", "", "OK", ResourceStatus.NOT_FOUND]


def test_order() -> None:
    """The answers come in the order asked; what isn't answered is unknown, what isn't asked out."""
    answered = {urn: Resource(urn, status="assigned") for urn in (URN("app", "x"), THREE, ONE)}
    result = AssignmentResult.of([ONE, TWO, THREE], answered)
    assert [ONE, THREE] == [resource.urn for resource in result.resources]
    assert (TWO,) == result.unknown


def test_renamed() -> None:
    """An address that is asked for as `reservedip` is answered as `floatingip`."""
    listed = Resource("do:floatingip:192.0.2.1", status="assigned")
    result = AssignmentResult.of([URN("reservedip", "192.0.2.1")], {listed.urn: listed})
    assert AssignmentResult(resources=(listed,), unknown=()) == result


@pytest.mark.parametrize("status", DONE)
def test_done(status: str | None) -> None:
    """These are in the project, an answer without a status too, and nothing is raised for them."""
    resource = Resource(ONE, status=status)
    result = AssignmentResult(resources=(resource,), unknown=())
    assert ((resource,), ()) == (result.done, result.failed)
    result.raise_for_failed()


@pytest.mark.parametrize("status", FAILED)
def test_failed(status: str) -> None:
    """Any other status is a failure, and the exception has all that the result has."""
    good, bad = Resource(ONE, status="ok"), Resource(TWO, status=status)
    result = AssignmentResult(resources=(bad, good), unknown=())
    assert ((good,), (bad,)) == (result.done, result.failed)
    with pytest.raises(AssignmentError, match="1 assigned, 1 failed: do:droplet:2 ") as caught:
        result.raise_for_failed()
    error = caught.value
    assert ((good,), (bad,), (), ()) == (error.done, error.failed, error.unknown, error.untouched)
    assert error.error is None


def test_unknown() -> None:
    """A resource that the API left out of its answer is no success."""
    with pytest.raises(APIError, match="0 assigned, 1 unknown: do:droplet:1") as caught:
        AssignmentResult.of([ONE], {}).raise_for_failed()
    assert isinstance(caught.value, AssignmentError)
    assert (ONE,) == caught.value.unknown


def test_nothing_asked() -> None:
    result = AssignmentResult.of([], {})
    assert AssignmentResult(resources=(), unknown=()) == result
    result.raise_for_failed()
