"""Random accounts and wanted states: the account becomes as wanted, with few requests."""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from digitalocean_projects import Client
from digitalocean_projects.testing import Emulator, MockClock

if TYPE_CHECKING:
    from collections.abc import Iterator

PROJECTS = ("first-project", "web", "api", "mail")
NEW = ("shop", "blog")
PER_PAGE = 200
CROWD = [f"do:volume:{number}" for number in range(PER_PAGE + 3)]
FEW = [f"do:droplet:{number}" for number in range(12)]
FEW += [f"do:floatingip:192.0.2.{number}" for number in range(3)]
RESOURCES = [*FEW, *CROWD[:2], *CROWD[-2:]]

places = st.sampled_from(PROJECTS)
accounts = st.fixed_dictionaries(dict.fromkeys(FEW, places) | {"crowd": places})
wanted_states = st.dictionaries(
    st.sampled_from(RESOURCES), st.sampled_from([*PROJECTS, *NEW]), max_size=len(RESOURCES)
)


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    with Emulator(limits=(), clock=MockClock(rate=0)) as emulator:
        yield emulator


@pytest.fixture(scope="module")
def client(emulator: Emulator) -> Iterator[Client]:
    with Client(emulator.token, base_url=emulator.url, limits=None) as client:
        yield client


def held(emulator: Emulator) -> dict[str, list[str]]:
    return {p.name: list(map(str, emulator.resources(p.id))) for p in emulator.projects()}


def pages(urns: list[str]) -> int:
    return max(ceil(len(urns) / PER_PAGE), 1)


@settings(max_examples=25)
@given(
    account=accounts,
    wanted=wanted_states,
    chunk_size=st.sampled_from([1, 2, 3, 100]),
    delay=st.sampled_from([0.0, 30.0]),
)
def test_wanted_state(
    *,
    emulator: Emulator,
    client: Client,
    account: dict[str, str],
    wanted: dict[str, str],
    chunk_size: int,
    delay: float,
) -> None:
    """After `apply`, the wanted resources are in their projects, and no other has moved.

    `plan` lists each project once. `apply` lists each source once, and sends each target its
    chunks. If that is done again, nothing is sent but the listings of the plan.
    """
    emulator.reset()
    emulator.clock.jump(60)
    emulator.move_delay = delay
    crowd = account["crowd"]
    for name in PROJECTS:
        urns = [urn for urn in FEW if account[urn] == name] + (CROWD if crowd == name else [])
        emulator.seed(urns, name, default=name == PROJECTS[0])
    before = held(emulator)
    expected = {urn: name for name, urns in before.items() for urn in urns} | wanted
    by_project: dict[str, list[str]] = {}
    for urn, name in wanted.items():
        text = urn.replace("floating", "reserved") if name in NEW else urn
        by_project.setdefault(name, []).append(text)

    emulator.forget_requests()
    plan = client.projects.plan(by_project, create=True)
    reading = 1 + sum(map(pages, before.values()))
    assert reading == len(emulator.requests)

    emulator.forget_requests()
    applied = client.projects.apply(plan, chunk_size=chunk_size)
    applied.raise_for_failed()
    emulator.clock.jump(60)
    after = held(emulator)
    assert expected == {urn: name for name, urns in after.items() for urn in urns}
    to_move = [urn for urn in wanted if wanted[urn] != account.get(urn, crowd)]
    assert (set(to_move), len(to_move)) == ({str(urn) for urn in applied.moved}, len(applied.moved))
    targets = [wanted[urn] for urn in to_move]
    sources = {account.get(urn, crowd) for urn in to_move}
    most = sum(max(pages(before[name]), pages(after[name])) for name in sources)
    most += sum(ceil(targets.count(name) / chunk_size) for name in set(targets))
    most += len(plan.new_projects)
    assert len(emulator.requests) <= most

    emulator.forget_requests()
    again = client.projects.plan(by_project)
    client.projects.apply(again)
    assert (False, {"GET"}) == (again.changed, {request.method for request in emulator.requests})
