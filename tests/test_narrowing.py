"""Chunks that the API refuses as a whole: the search for the resources that are refused."""

from __future__ import annotations

import asyncio
import json
from random import Random
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from digitalocean_projects import (
    URN,
    APIConnectionError,
    APIError,
    AssignmentError,
    BadRequestError,
    PermissionDeniedError,
    PreconditionFailedError,
    Refusal,
    RetryPolicy,
    ServerError,
)
from digitalocean_projects._assignment.search import Search
from digitalocean_projects.testing import faults
from tests.simulation import MovedClock

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from digitalocean_projects import AssignmentResult, AsyncClient, Resource
    from digitalocean_projects.testing import Emulator, RecordedRequest

    MakeClient = Callable[..., AsyncClient]

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_leaks")]

# A search learns nothing from resources that have different types.
TYPES = [f"type{number}" for number in range(203)]
DROPLET, IP = "do:droplet:7", "do:floatingip:192.0.2.7"
ATTACHED = {
    "id": "precondition_failed",
    "message": "Cannot move a Reserved IP with an associated Droplet. Move the Droplet instead",
    "request_id": "4d9d",
}


def asked(request: RecordedRequest) -> list[str]:
    """Return the resources of an assignment, by the names in listings."""
    if request.method != "POST":
        return []
    return [str(URN.parse(text).canonical) for text in json.loads(request.body)["resources"]]


def sent(emulator: Emulator) -> list[list[str]]:
    return [urns for request in emulator.requests if (urns := asked(request))]


def refuse(emulator: Emulator, guilty: Collection[str], status: int = 412) -> None:
    """Refuse each assignment that holds one of these resources."""
    emulator.respond(
        status,
        ATTACHED,
        when=lambda request: not set(guilty).isdisjoint(asked(request)),
        times=None,
    )


def attach(emulator: Emulator) -> None:
    """Attach the IP to the droplet: it can't be assigned, and follows the droplet."""

    def follow(request: RecordedRequest) -> bool:
        if DROPLET in (urns := asked(request)) and IP not in urns:
            emulator.seed([IP], default=True)
        return False

    emulator.respond(500, when=follow, times=None)
    refuse(emulator, [IP])


def droplets(*numbers: int) -> list[str]:
    return [f"do:droplet:{number}" for number in numbers]


def texts(some: Iterable[Resource | URN]) -> list[str]:
    return [str(one if isinstance(one, URN) else one.urn) for one in some]


def outcome(result: AssignmentResult | AssignmentError) -> tuple[list[str], ...]:
    """Return the URNs in `done`, `failed`, `unknown` and `untouched`."""
    return (
        texts(result.done),
        texts(result.failed),
        texts(result.unknown),
        texts(result.untouched),
    )


def search(urns: Sequence[str], guilty: Collection[str]) -> tuple[list[str], set[str], int]:
    """Return the refused and the accepted resources of a search, and its number of requests."""
    found: list[str] = []
    freed: set[str] = set()
    requests = 0
    searching = Search(urns)
    while probe := searching.next():
        requests += 1
        assert len(set(probe)) == len(probe)
        assert freed.isdisjoint(probe)
        if set(guilty).isdisjoint(probe):
            freed.update(probe)
            searching.accepted()
        else:
            found += probe if len(probe) == 1 else []
            searching.refused(probe)
    return found, freed, requests


@pytest.mark.parametrize("position", [0, 41, 99])
@pytest.mark.parametrize("name", [IP, "do:reservedip:192.0.2.7"])
async def test_attached_ip(
    emulator: Emulator, make_client: MakeClient, name: str, position: int
) -> None:
    """An attached reserved IP is refused by itself; all other resources are moved.

    It arrives with its droplet, so the project can be deleted.
    """
    urns = droplets(*range(99))
    urns.insert(position, name)
    web = emulator.seed(urns, name="web")
    attach(emulator)
    async with make_client() as client:
        result = await client.projects.unassign_resources(urns)
        assert len(sent(emulator)) <= 1 + 9
        await client.projects.wait_until_assigned("default", urns, timeout=0.0)
        await client.projects.delete(web)
    assert ([urn for urn in urns if urn != name], [name], [], []) == outcome(result)
    assert urns == texts(result.resources)
    assert ["refused"] == [resource.status for resource in result.failed]
    words = {"status": 412, **ATTACHED}
    assert (Refusal(urn=URN.parse(name), **words),) == result.refused  # type: ignore[arg-type]
    expected = f"99 assigned, 1 failed: {name} (412 precondition_failed: {ATTACHED['message']})"
    with pytest.raises(AssignmentError) as caught:
        result.raise_for_failed()
    assert (expected, result.refused, None) == (
        str(caught.value),
        caught.value.refused,
        caught.value.error,
    )


async def test_type_that_is_refused(emulator: Emulator, make_client: MakeClient) -> None:
    """All resources of a refused type are named, and all other resources are assigned."""
    urns = droplets(*range(95))
    for position in (3, 20, 21, 70, 95):
        urns.insert(position, f"do:vpc:{position}")
    emulator.seed([urn for urn in urns if "vpc" not in urn])
    async with make_client() as client:
        result = await client.projects.assign_resources("default", urns)
    done, failed, unknown, untouched = outcome(result)
    assert (95, 5, []) == (len(done), len(failed) + len(untouched), unknown)
    assert all("vpc" in urn for urn in failed + untouched)
    assert failed
    assert len(sent(emulator)) <= 17


@pytest.mark.parametrize("status", [400, 412, 422])
async def test_statuses(emulator: Emulator, make_client: MakeClient, status: int) -> None:
    """Each status that may be about a single resource is narrowed down."""
    emulator.seed(urns := droplets(1, 2, 3))
    refuse(emulator, [urns[1]], status)
    async with make_client() as client:
        result = await client.projects.assign_resources("default", urns)
    assert ([urns[0], urns[2]], [urns[1]], [], []) == outcome(result)
    assert [status] == [refusal.status for refusal in result.refused]


@pytest.mark.parametrize("status", [401, 403, 404, 405, 409, 413, 415, 429, 501, 503])
async def test_other_statuses(emulator: Emulator, make_client: MakeClient, status: int) -> None:
    """A failure that isn't about a resource is raised at once."""
    refuse(emulator, droplets(2), status)
    async with make_client() as client:
        with pytest.raises(APIError) as caught:
            await client.projects.assign_resources("default", droplets(1, 2, 3))
    assert (status, 1) == (getattr(caught.value, "status", None), len(emulator.requests))


@pytest.mark.parametrize("chunk_size", [1, 2, 3, 100])
async def test_everything_is_refused(
    emulator: Emulator, make_client: MakeClient, chunk_size: int
) -> None:
    """If nothing is accepted, the API's first error is raised, as it is without a search."""
    urns = droplets(*range(7))
    refuse(emulator, urns, 422)
    emulator.respond(400, {"message": "the first"})
    emulator._site.script.entries.reverse()
    async with make_client() as client:
        with pytest.raises(BadRequestError, match="the first") as caught:
            await client.projects.assign_resources(
                "default", urns, chunk_size=chunk_size, concurrency=1
            )
    assert caught.value.__context__ is None
    assert sorted(urns) == sorted({urn for request in sent(emulator) for urn in request})
    assert len(sent(emulator)) <= 17


@pytest.mark.parametrize("guilty", [[1], [2], [3], [1, 2], [2, 3], [1, 3]])
async def test_chunks_of_one(
    emulator: Emulator, make_client: MakeClient, guilty: list[int]
) -> None:
    """A resource that was sent alone isn't sent again, and doesn't end the assignment."""
    emulator.seed(urns := droplets(1, 2, 3))
    refuse(emulator, bad := droplets(*guilty))
    async with make_client() as client:
        result = await client.projects.assign_resources(
            "default", urns, chunk_size=1, concurrency=1
        )
    assert ([urn for urn in urns if urn not in bad], bad, [], []) == outcome(result)
    assert [[urn] for urn in urns] == sent(emulator)


@pytest.mark.parametrize("emulator", [{"resource_types": TYPES}], indirect=True)
async def test_undecided(emulator: Emulator, make_client: MakeClient) -> None:
    """Resources that 16 more requests don't settle are untouched, and later chunks are sent."""
    urns = [f"do:{name}:{number}" for number, name in enumerate(TYPES)]
    emulator.seed(urns)
    refuse(emulator, bad := [*urns[:100:3], urns[202]])
    async with make_client() as client:
        result = await client.projects.assign_resources("default", urns)
    done, failed, unknown, untouched = outcome(result)
    assert (urns, []) == (sorted(done + failed + untouched, key=urns.index), unknown)
    assert urns[100:202] == [urn for urn in done if urn in urns[100:]]
    assert urns[202] == failed[-1]
    assert set(failed) <= set(bad)
    assert untouched == sorted(untouched, key=urns.index)
    requests = sent(emulator)
    assert 17 == sum(1 for request in requests if set(request) <= set(urns[:100]))
    with pytest.raises(AssignmentError, match=f"{len(untouched)} untouched") as caught:
        result.raise_for_failed()
    assert outcome(result) == outcome(caught.value)


async def test_chunk_that_is_too_large(emulator: Emulator, make_client: MakeClient) -> None:
    """If the API refuses the size of a chunk, no resource is named."""
    emulator.seed(urns := droplets(*range(300)))
    emulator.respond(422, when=lambda request: len(asked(request)) > 40, times=None)
    async with make_client() as client:
        result = await client.projects.assign_resources("default", urns, chunk_size=150)
    assert (urns, [], [], []) == outcome(result)


async def test_refusal_that_passes(emulator: Emulator, make_client: MakeClient) -> None:
    """A resource that is accepted when it is sent alone is not named."""
    emulator.seed(urns := droplets(1, 2))
    emulator.respond(412)
    async with make_client() as client:
        result = await client.projects.assign_resources("default", urns)
    assert ((urns, [], [], []), ()) == (outcome(result), result.refused)
    assert [urns, *([urn] for urn in urns)] == sent(emulator)


async def test_retries(emulator: Emulator, make_client: MakeClient) -> None:
    """A request of the search is retried like any other, and counts once."""
    emulator.seed(urns := droplets(1, 2, 3, 4))
    refuse(emulator, [urns[2]])
    emulator._site.script.entries.reverse()
    for status in (429, 503, 429):
        emulator.respond(status, when=lambda request: asked(request) == urns[:2])
    emulator._site.script.entries.reverse()
    clock = MovedClock()
    async with make_client(clock=clock, retry=RetryPolicy(jitter=lambda x: x)) as client:
        result = await client.projects.assign_resources("default", urns)
    assert ([urns[0], urns[1], urns[3]], [urns[2]], [], []) == outcome(result)
    assert [0.5, 1.0, 2.0] == clock.slept
    assert [urns, *[urns[:2]] * 4, [urns[2]], [urns[3]]] == sent(emulator)


@pytest.mark.parametrize(
    ("failure", "error", "in_doubt"),
    [
        (faults.Status(500), ServerError, True),
        (faults.Status(403), PermissionDeniedError, False),
        (faults.Reset(), APIConnectionError, True),
    ],
)
@pytest.mark.parametrize(
    ("at", "done", "failed", "doubtful"),
    [
        ([3], [1, 2], [], [3]),
        ([1, 2], [], [], [1, 2]),
        ([4, 5, 6], [1, 2, 4], [3], [5, 6]),
    ],
)
async def test_failure_during_a_search(  # noqa: PLR0917 - fixtures
    emulator: Emulator,
    make_client: MakeClient,
    failure: faults.Fault,
    error: type[APIError],
    at: list[int],
    done: list[int],
    failed: list[int],
    doubtful: list[int],
    *,
    in_doubt: bool,
) -> None:
    """A failure ends a search: each resource is accounted for, and the doubtful ones are unknown.

    If all are untouched, the failure itself is raised.
    """
    emulator.seed(urns := droplets(*range(1, 7)))
    chunks = {(3,): droplets(3), (1, 2): droplets(1, 2), (4, 5, 6): droplets(5, 6)}
    emulator.fail(failure, when=lambda request: asked(request) == chunks[tuple(at)], times=None)
    refuse(emulator, droplets(3))
    async with make_client() as client:
        with pytest.raises(APIError) as caught:
            await client.projects.assign_resources("default", urns, chunk_size=4, concurrency=1)
    if not done and not in_doubt:
        assert error is type(caught.value)
        return
    assert isinstance(caught.value, AssignmentError)
    assert error is type(caught.value.error)
    left = [n for n in range(1, 7) if n not in {*done, *failed, *doubtful}]
    unknown, untouched = (doubtful, left) if in_doubt else ([], sorted([*left, *doubtful]))
    assert (
        droplets(*done),
        droplets(*failed),
        droplets(*unknown),
        droplets(*untouched),
    ) == outcome(caught.value)
    assert failed == [int(refusal.urn.id) for refusal in caught.value.refused]


async def test_failure_after_a_refusal(emulator: Emulator, make_client: MakeClient) -> None:
    """A refused resource is reported even if nothing else is known."""
    refuse(emulator, droplets(1))
    emulator.fail(faults.Status(403), times=None)
    async with make_client() as client:
        with pytest.raises(AssignmentError) as caught:
            await client.projects.assign_resources("default", droplets(1, 2, 3), chunk_size=1)
    assert ([], droplets(1), [], droplets(2, 3)) == outcome(caught.value)
    assert f"0 assigned, 1 failed, 2 untouched: do:droplet:1 ({caught.value.refused[0]})" in str(
        caught.value
    )


@pytest.mark.parametrize("emulator", [{"resource_types": TYPES}], indirect=True)
async def test_doubt(emulator: Emulator, make_client: MakeClient) -> None:
    """An undecided resource is unknown if an earlier attempt at its request may have moved it."""
    emulator.seed(urns := [f"do:{name}:1" for name in TYPES[:100]])
    emulator.respond(500)
    refuse(emulator, urns[60::10])
    async with make_client(retry=RetryPolicy(base_delay=0.0)) as client:
        result = await client.projects.assign_resources("default", urns)
    done, failed, unknown, untouched = outcome(result)
    assert [] == untouched
    assert sorted(urns) == sorted(done + failed + unknown)
    assert done
    assert unknown


@pytest.mark.parametrize("doubtful", [True, False])
async def test_doubt_where_everything_is_refused(
    emulator: Emulator, make_client: MakeClient, *, doubtful: bool
) -> None:
    """The error has `in_doubt` if an attempt may have moved a resource."""
    if doubtful:
        emulator.respond(500, when=lambda request: asked(request) == droplets(1))
    refuse(emulator, droplets(1, 2))
    async with make_client(retry=RetryPolicy(base_delay=0.0)) as client:
        with pytest.raises(PreconditionFailedError) as caught:
            await client.projects.assign_resources("default", droplets(1, 2))
    assert doubtful == caught.value.in_doubt


async def test_refused_while_down(emulator: Emulator, make_client: MakeClient) -> None:
    """Resources whose service was down and that are then refused are narrowed down, too."""
    emulator.seed(urns := droplets(1, 2, 3, 4))
    down = [{"urn": urn, "status": "service_down"} for urn in urns[1:]]
    emulator.respond(200, {"resources": [{"urn": urns[0]}, *down]})
    refuse(emulator, [urns[2]])
    async with make_client(clock=MovedClock(), retry=RetryPolicy()) as client:
        result = await client.projects.assign_resources("default", urns)
    assert ([urns[0], urns[1], urns[3]], [urns[2]], [], []) == outcome(result)
    assert ["refused"] == [resource.status for resource in result.failed]
    assert [urns, urns[1:], urns[1:3], [urns[1]], [urns[2]], [urns[3]]] == sent(emulator)


async def test_down_during_a_search(emulator: Emulator, make_client: MakeClient) -> None:
    """A resource that stays down during a search has failed with that status."""
    emulator.seed(urns := droplets(1, 2, 3))
    refuse(emulator, [urns[2]])
    emulator.fail(faults.NotAssigned("service_down", [urns[0]]), times=None)
    async with make_client(clock=MovedClock(), retry=RetryPolicy(attempts=2)) as client:
        result = await client.projects.assign_resources("default", urns)
    assert ["service_down", "refused"] == [resource.status for resource in result.failed]
    assert ([urns[1]], [urns[0], urns[2]], [], []) == outcome(result)


async def test_answer_with_other_resources(emulator: Emulator, make_client: MakeClient) -> None:
    """A resource in an answer that was not in its request is ignored."""
    urns = droplets(1, 2, 3)
    everything = {"resources": [{"urn": urn, "status": "ok"} for urn in urns]}
    emulator.respond(200, everything, when=lambda request: asked(request) == urns[:2])
    emulator.respond(403)
    async with make_client() as client:
        with pytest.raises(AssignmentError) as caught:
            await client.projects.assign_resources("default", urns, chunk_size=2)
    assert (urns[:2], [], [], urns[2:]) == outcome(caught.value)


async def test_cancellation(emulator: Emulator, make_client: MakeClient) -> None:
    """A cancelled search sends nothing more."""
    refuse(emulator, droplets(3))
    emulator.fail(faults.Silence(), when=lambda request: asked(request) == droplets(1, 2))
    async with make_client() as client:
        task = asyncio.ensure_future(
            client.projects.assign_resources("default", droplets(1, 2, 3, 4))
        )
        while len(emulator.requests) < 2:  # noqa: ASYNC110 - it happens in another thread
            await asyncio.sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert 2 == len(emulator.requests)


async def test_reconcile(emulator: Emulator, make_client: MakeClient) -> None:
    """Pruning an attached reserved IP moves everything else, and names the IP."""
    web = emulator.seed([DROPLET, IP, *droplets(1, 2)], name="web")
    emulator.seed(droplets(3), default=True)
    attach(emulator)
    async with make_client() as client:
        done = await client.projects.reconcile(web, droplets(2, 3), prune=True)
        again = await client.projects.reconcile(web, droplets(2, 3), prune=True)
    assert (droplets(3), [DROPLET, *droplets(1)], droplets(2)) == tuple(
        map(texts, (done.added, done.removed, done.kept))
    )
    assert [IP] == texts(done.failed)
    assert [IP] == [str(refusal.urn) for refusal in done.refused]
    with pytest.raises(AssignmentError, match="Move the Droplet instead"):
        done.raise_for_failed()
    assert (False, ()) == (again.changed, again.failed)


async def test_reconcile_adds_nothing(emulator: Emulator, make_client: MakeClient) -> None:
    """Pruning continues if all missing resources were refused."""
    web = emulator.seed(droplets(1), name="web")
    async with make_client() as client:
        done = await client.projects.reconcile(web, ["do:vpc:1"], prune=True)
    assert ([], droplets(1)) == (texts(done.added), texts(done.removed))
    assert ["do:vpc:1"] == [str(refusal.urn) for refusal in done.refused]


async def test_requests_in_vain(emulator: Emulator, make_client: MakeClient) -> None:
    """If the API refuses everything, only the first chunks are searched, and all are sent."""
    urns = droplets(*range(2_000))
    emulator.seed(urns)
    refuse(emulator, urns)
    async with make_client() as client:
        with pytest.raises(PreconditionFailedError):
            await client.projects.assign_resources("default", urns)
    assert 4 * 17 + 16 == len(emulator.requests)


async def test_requests_in_vain_after_an_accepted_one(
    emulator: Emulator, make_client: MakeClient
) -> None:
    """An accepted chunk doesn't let all the chunks be searched that the API refuses after it."""
    urns = droplets(*range(1_000))
    emulator.seed(urns)
    refuse(emulator, urns[100:])
    async with make_client() as client:
        result = await client.projects.assign_resources("default", urns, concurrency=1)
    assert 100 == len(result.done)
    assert 1 + 4 * 17 + 5 == len(emulator.requests)


async def test_innocent_chunk_after_vain_searches(
    emulator: Emulator, make_client: MakeClient
) -> None:
    """A later chunk that the API accepts is assigned, and those after it are searched again."""
    urns = droplets(*range(700))
    emulator.seed(urns)
    refuse(emulator, [*urns[:500], urns[650]])
    async with make_client() as client:
        result = await client.projects.assign_resources("default", urns)
    assert {*urns[500:]} - {urns[650]} == {str(resource.urn) for resource in result.done}
    assert urns[650] in [str(refusal.urn) for refusal in result.refused]


async def test_reconcile_does_nothing(emulator: Emulator, make_client: MakeClient) -> None:
    """If the API refuses everything, `reconcile` returns a result that says so."""
    web = emulator.seed(droplets(1), name="web")
    refuse(emulator, droplets(1, 2))
    async with make_client() as client:
        done = await client.projects.reconcile(web, droplets(2), prune=True)
    assert droplets(2, 1) == [str(refusal.urn) for refusal in done.refused]
    assert ((), (), ()) == (done.added, done.removed, done.kept)
    # The project and the default one, the addition, the project again, and the removal.
    assert 5 == len(emulator.requests)


async def test_reconcile_with_undecided(emulator: Emulator, make_client: MakeClient) -> None:
    """Resources that the search leaves undecided are untouched in a reconciliation, too."""
    emulator.seed(urns := [f"do:{name}:1" for name in TYPES[:100]])
    refuse(emulator, urns[60::10])
    web = emulator.seed(name="web")
    async with make_client() as client:
        done = await client.projects.reconcile(web, urns)
    assert done.untouched
    assert done.changed
    assert sorted(urns) == sorted(texts(done.added + done.failed + done.untouched))
    with pytest.raises(AssignmentError) as caught:
        done.raise_for_failed()
    assert done.untouched == caught.value.untouched


@given(st.integers(1, 300), st.data())
def test_search(size: int, data: st.DataObject) -> None:
    """A search takes at most 16 more requests, and its result is right."""
    types = data.draw(st.lists(st.sampled_from("abc"), min_size=size, max_size=size))
    urns = [URN(one, number) for number, one in enumerate(types)]
    guilty = data.draw(st.sets(st.sampled_from(urns)))
    found, freed, requests = search(urns, guilty)
    assert requests <= 17
    assert len(set(found)) == len(found)
    assert set(found) <= guilty
    assert freed.isdisjoint(guilty)
    if len(guilty) <= 1 or size <= 6:
        assert (guilty, set(urns) - guilty) == (set(found), freed)


@pytest.mark.parametrize("size", [1, 2, 3, 50, 100])
def test_requests_for_one(size: int) -> None:
    """One resource among 100 is found with 9 more requests, at any position."""
    urns = [URN("droplet", number) for number in range(size)]
    most = {1: 0, 2: 2, 3: 4, 50: 8, 100: 9}[size]
    assert most == max(search(urns, {urn})[2] for urn in urns) - 1


def test_requests_for_a_type() -> None:
    """If a type is refused, the resources of all other types are accepted."""
    for start in range(80):
        urns = [URN("vpc" if start <= n < start + 20 else "droplet", n) for n in range(100)]
        guilty = {urn for urn in urns if urn.type == "vpc"}
        found, freed, _ = search(urns, guilty)
        assert found
        assert 80 - len(freed) <= 1


@pytest.mark.parametrize("size", range(1, 17))
def test_search_of_a_small_chunk(size: int) -> None:
    """Each of up to 16 resources is decided, for any refused ones."""
    urns = [URN("droplet", number) for number in range(size)]
    chance = Random(size)  # noqa: S311 - no secret
    for number in range(size + 1):
        guilty = set(chance.sample(urns, number))
        found, freed, _ = search(urns, guilty)
        assert (guilty, set(urns) - guilty) == (set(found), set(freed))
