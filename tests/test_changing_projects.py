"""Operations on a project whose listing changes while it is read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
import pytest

from digitalocean_projects import URN, AssignmentTimeoutError, PaginationError

if TYPE_CHECKING:
    from collections.abc import Callable

    from digitalocean_projects import AsyncClient
    from digitalocean_projects.testing import Emulator, MockClock

    MakeClient = Callable[..., AsyncClient]

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_leaks")]


@attrs.frozen
class Jumps:
    """A clock that each sleep moves forward."""

    clock: MockClock

    def time(self) -> float:
        return self.clock.time()

    async def sleep(self, seconds: float) -> None:
        self.clock.jump(seconds)


def urns(*numbers: int) -> list[str]:
    return [f"do:droplet:{number}" for number in numbers]


def methods(emulator: Emulator) -> set[str]:
    return {request.method for request in emulator.requests}


def leave_on_page_2(emulator: Emulator, *numbers: int) -> None:
    """Each time that page 2 is requested, move the next of the droplets to a new project."""
    left = iter(numbers)

    def act(request: Any) -> bool:
        if request.method == "GET" and request.query.get("page") == "2":
            for number in left:
                emulator.seed(urns(number))
                break
        return False

    emulator.respond(500, when=act, times=None)


@pytest.mark.parametrize("prune", [False, True])
@pytest.mark.parametrize("wanted", [False, True])
async def test_reconcile_once_changed(
    emulator: Emulator, make_client: MakeClient, *, prune: bool, wanted: bool
) -> None:
    """A resource that leaves while the project is read is neither pruned nor reported as kept."""
    web = emulator.seed(urns(*range(450)), name="web")
    leave_on_page_2(emulator, 10)
    desired = urns(*(number for number in range(440) if wanted or number != 10))
    async with make_client() as client:
        done = await client.projects.reconcile(web, desired, prune=prune)
    assert wanted == ("do:droplet:10" in emulator.resources(web))
    assert "do:droplet:10" not in emulator.resources()
    assert [URN("droplet", 10)] * wanted == list(done.added)
    assert URN("droplet", 10) not in (*done.removed, *done.kept)
    assert (439, 10 * prune) == (len(done.kept), len(done.removed))


@pytest.mark.parametrize("dry_run", [False, True])
async def test_reconcile_that_keeps_changing(
    emulator: Emulator, make_client: MakeClient, *, dry_run: bool
) -> None:
    """If no reading is settled, nothing is kept because an earlier one had it."""
    web = emulator.seed(urns(*range(450)), name="web")
    leave_on_page_2(emulator, 10, 250, 11, 12)
    async with make_client() as client:
        done = await client.projects.reconcile(web, urns(*range(440)), dry_run=dry_run)
    left = {URN("droplet", number) for number in (10, 250, 11)}
    assert left <= set(done.added)
    assert left.isdisjoint(done.kept)
    assert 440 == len(done.added) + len(done.kept)
    assert dry_run == ({"GET"} == methods(emulator))


async def test_prune_that_keeps_changing(emulator: Emulator, make_client: MakeClient) -> None:
    """If no reading is settled, nothing is pruned or assigned."""
    web = emulator.seed(urns(*range(450)), name="web")
    leave_on_page_2(emulator, 10, 250, 11)
    async with make_client() as client:
        with pytest.raises(PaginationError, match="the listing changed while it was read"):
            await client.projects.reconcile(web, urns(*range(500)), prune=True)
    assert {"GET"} == methods(emulator)


async def test_prune_of_a_part(emulator: Emulator, make_client: MakeClient) -> None:
    """A project of which only a part is listed is not pruned."""
    web = emulator.seed(urns(*range(450)), name="web")
    document = {
        "resources": [{"urn": urn} for urn in urns(*range(200))],
        "links": {"pages": {"last": "?page=3"}},
    }
    emulator.respond(200, document, when=lambda request: request.method == "GET", times=None)
    async with make_client() as client:
        with pytest.raises(PaginationError, match="the listing changed while it was read"):
            await client.projects.reconcile(web, urns(*range(100)), prune=True)
    assert {"GET"} == methods(emulator)


async def test_wait_for_what_left(emulator: Emulator, make_client: MakeClient) -> None:
    """One listing must have all resources: a resource that has left again is missing."""
    emulator.move_delay = 5.0
    web = emulator.seed(urns(1), name="web")
    emulator.seed(urns(2), default=True)
    async with make_client(clock=Jumps(emulator.clock)) as client:
        await client.projects.assign_resources(web, urns(2))
        await client.projects.unassign_resources(urns(1))
        with pytest.raises(
            AssignmentTimeoutError, match=r"1 resource is missing in project .+: do:droplet:1"
        ):
            await client.projects.wait_until_assigned(web, urns(1, 2), timeout=20.0)


async def test_prune_of_what_left(emulator: Emulator, make_client: MakeClient) -> None:
    """A resource that leaves the project while others are added isn't moved, and is untouched."""
    emulator.seed(urns(4, 5))
    web = emulator.seed(urns(1, 2, 3), name="web")

    def leave(request: Any) -> bool:
        if b"do:droplet:5" in request.body:
            emulator.seed(urns(2), name="new")
        return False

    emulator.respond(500, when=leave, times=None)
    async with make_client() as client:
        done = await client.projects.reconcile(web, urns(4, 5), prune=True, chunk_size=1)
    assert (urns(4, 5), urns(1, 3), urns(2)) == (
        list(done.added),
        sorted(done.removed),
        list(done.untouched),
    )
    new = next(project.id for project in emulator.projects() if project.name == "new")
    assert urns(2) == list(emulator.resources(new))
    # The project and the default one, two additions, the project again, and two removals.
    assert 7 == len(emulator.requests)
