"""Results: each resource has an outcome, and failures can be raised."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
import pytest

from digitalocean_projects import (
    URN,
    APIError,
    AssignmentError,
    AssignmentResult,
    Reconciliation,
    Refusal,
    Resource,
    ResourceStatus,
)

if TYPE_CHECKING:
    from digitalocean_projects._assignment.results import Fate

ONE, TWO, THREE, FOUR, FIVE = (URN("droplet", number) for number in range(1, 6))
REFUSAL = Refusal(urn=FIVE, status=412, id="precondition_failed", message="No.", request_id="4d9d")
DONE = [None, "ok", "assigned", "already_assigned", *list(ResourceStatus)[:1]]
FAILED = ["not_found", "service_down", "paused", "", "OK", ResourceStatus.NOT_FOUND]


def test_order() -> None:
    """Each passed resource has one outcome, in the order passed, and no other resource has one."""
    fates: dict[URN, Fate] = {
        urn: Resource(urn, status="assigned") for urn in (URN("app", "x"), THREE, ONE)
    }
    fates |= {TWO: None, FIVE: REFUSAL}
    result = AssignmentResult.of([FIVE, ONE, FOUR, TWO, THREE], fates)
    assert [FIVE, ONE, THREE] == [resource.urn for resource in result.resources]
    assert ((TWO,), (FOUR,), (REFUSAL,)) == (result.unknown, result.untouched, result.refused)
    assert (Resource(FIVE, status="refused"),) == result.failed


def test_renamed() -> None:
    """An address that is passed as `reservedip` is returned as `floatingip`."""
    listed = Resource("do:floatingip:192.0.2.1", status="assigned")
    result = AssignmentResult.of([URN("reservedip", "192.0.2.1")], {listed.urn: listed})
    assert AssignmentResult(resources=(listed,), unknown=()) == result


@pytest.mark.parametrize("status", DONE)
def test_done(status: str | None) -> None:
    """These resources are in the project, without a status, too, and nothing is raised."""
    resource = Resource(ONE, status=status)
    result = AssignmentResult(resources=(resource,), unknown=())
    assert ((resource,), ()) == (result.done, result.failed)
    result.raise_for_failed()


@pytest.mark.parametrize("status", FAILED)
def test_failed(status: str) -> None:
    """Any other status is a failure, and the exception has the members of the result."""
    good, bad = Resource(ONE, status="ok"), Resource(TWO, status=status)
    result = AssignmentResult(resources=(bad, good), unknown=())
    assert ((good,), (bad,)) == (result.done, result.failed)
    with pytest.raises(AssignmentError, match="1 assigned, 1 failed: do:droplet:2 ") as caught:
        result.raise_for_failed()
    error = caught.value
    assert ((good,), (bad,), (), ()) == (error.done, error.failed, error.unknown, error.untouched)
    assert error.error is None


def test_unknown() -> None:
    """A resource that is missing from the response is a failure."""
    with pytest.raises(APIError, match="0 assigned, 1 unknown: do:droplet:1") as caught:
        AssignmentResult.of([ONE], {ONE: None}).raise_for_failed()
    assert isinstance(caught.value, AssignmentError)
    assert (ONE,) == caught.value.unknown


@pytest.mark.parametrize(
    ("refusal", "text"),
    [
        (REFUSAL, "412 precondition_failed: No."),
        (attrs.evolve(REFUSAL, id=""), "412: No."),
        (attrs.evolve(REFUSAL, id="", message=""), "412"),
    ],
)
def test_refused(refusal: Refusal, text: str) -> None:
    """The exception for a resource that was refused gives the API's explanation."""
    result = AssignmentResult.of([ONE, FIVE], {ONE: Resource(ONE), FIVE: refusal})
    with pytest.raises(AssignmentError) as caught:
        result.raise_for_failed()
    assert f"1 assigned, 1 failed: do:droplet:5 ({text})" == str(caught.value)
    assert ((Resource(ONE),), (refusal,)) == (caught.value.done, caught.value.refused)


def test_untouched() -> None:
    """A resource whose requests were all refused as a whole is a failure."""
    with pytest.raises(AssignmentError, match=r"^0 assigned, 1 untouched$") as caught:
        AssignmentResult.of([ONE], {}).raise_for_failed()
    assert (ONE,) == caught.value.untouched


def test_nothing_asked() -> None:
    result = AssignmentResult.of([], {})
    assert AssignmentResult(resources=(), unknown=()) == result
    result.raise_for_failed()


def test_plan() -> None:
    """Missing resources are added; surplus ones are removed only with `prune`."""
    held = [ONE, URN("floatingip", "192.0.2.1")]
    wanted = [THREE, URN("reservedip", "192.0.2.1"), TWO]
    plan = Reconciliation.plan(held, wanted, prune=False)
    assert Reconciliation(added=(THREE, TWO), removed=(), kept=(held[1],)) == plan
    assert (ONE,) == Reconciliation.plan(held, wanted, prune=True).removed
    assert (True, False) == (plan.changed, Reconciliation.plan(held, [], prune=False).changed)


def test_carried_out() -> None:
    """The result has what the API confirmed, and everything else can be raised."""
    plan = Reconciliation(added=(ONE, TWO), removed=(THREE,), kept=())
    added = AssignmentResult(resources=(Resource(ONE), Resource(TWO, status="x")), unknown=())
    removed = AssignmentResult(resources=(), unknown=(THREE,))
    done = plan.carried_out(added, removed)
    assert (
        Reconciliation(
            added=(ONE,), removed=(), kept=(), failed=(Resource(TWO, status="x"),), unknown=(THREE,)
        )
        == done
    )
    plan.raise_for_failed()
    with pytest.raises(AssignmentError) as caught:
        done.raise_for_failed()
    assert ((Resource(ONE),), done.failed, done.unknown) == (
        caught.value.done,
        caught.value.failed,
        caught.value.unknown,
    )


def test_on_its_way() -> None:
    """A resource that is assigned already, but not listed yet, is kept."""
    plan = Reconciliation(added=(ONE,), removed=(), kept=(TWO,))
    told = AssignmentResult(resources=(Resource(ONE, status="already_assigned"),), unknown=())
    done = plan.carried_out(told, AssignmentResult(resources=(), unknown=()))
    assert (False, (TWO, ONE)) == (done.changed, done.kept)


def test_request_ids() -> None:
    """The ids of requests are those of all parts, and two equal results may have other ones."""
    added, removed = (
        AssignmentResult.of([urn], {urn: Resource(urn)}, ids)
        for urn, ids in ((ONE, ["1", "2"]), (TWO, ["3"]))
    )
    assert added == AssignmentResult.of([ONE], {ONE: Resource(ONE)})
    assert ("1", "2", "3") == AssignmentResult.joined([added, removed]).request_ids
    plan = Reconciliation.plan([TWO], [ONE], prune=True)
    assert ("1", "2", "3") == plan.carried_out(added, removed).request_ids
    failed = AssignmentResult.of([ONE], {ONE: None}, ["4"])
    with pytest.raises(AssignmentError) as caught:
        failed.raise_for_failed()
    assert ("4",) == caught.value.request_ids
