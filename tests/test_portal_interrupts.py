"""Blocking iterations that the exception of a signal handler interrupts, and that go on."""

from __future__ import annotations

import random
import signal
import sys
from collections.abc import Callable, Iterator
from time import monotonic
from typing import TYPE_CHECKING, Any

import pytest

from digitalocean_projects import Client

if TYPE_CHECKING:
    from types import FrameType

    from digitalocean_projects.testing import Emulator

pytestmark = pytest.mark.usefixtures("no_leaks")

LISTED = [f"do:droplet:{number}" for number in range(60)]
INTERRUPTIONS = 100
INTERVALS = [0.0002, 0.0005, 0.001, 0.003, 0.01]

Begun = tuple[Iterator[Any], Callable[[Any], list[str]]]


class Interruption(Exception):  # noqa: N818 - it is no error
    """An exception that the handler raises."""


@pytest.fixture
def interrupts(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[None]]:
    """Make the timer's handler raise in any frame but the test's, and count that."""
    # Python drops an exception in a finalizer.
    monkeypatch.setattr(sys, "unraisablehook", lambda _: None)
    interrupts: list[None] = []

    def handle(_: int, frame: FrameType | None) -> None:
        if frame is not None and frame.f_globals["__name__"] != __name__:
            interrupts.append(None)
            raise Interruption

    handler = signal.signal(signal.SIGALRM, handle)
    yield interrupts
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, handler)


def pages(client: Client) -> Begun:
    paginator = client.projects.list_resources(per_page=2, concurrency=3)
    return paginator.pages(), lambda page: [str(item.urn) for item in page.items]


def resources(client: Client) -> Begun:
    paginator = client.projects.list_resources(per_page=2, concurrency=3)
    return iter(paginator), lambda item: [str(item.urn)]


def projects(client: Client) -> Begun:
    inventory = client.projects.resources_by_project(concurrency=3)
    return inventory.pages(), lambda page: [str(item.urn) for item in page.resources]


def pairs(client: Client) -> Begun:
    inventory = client.projects.resources_by_project(concurrency=3)
    return iter(inventory), lambda pair: [str(pair[1].urn)]


def ahead(client: Client) -> Begun:
    paginator = client.projects.list_resources(per_page=2, concurrency=3).__enter__()
    return iter(paginator), lambda item: [str(item.urn)]


@pytest.mark.parametrize("begin", [pages, resources, projects, pairs, ahead])
def test_interrupted(
    emulator: Emulator, interrupts: list[None], begin: Callable[[Client], Begun]
) -> None:
    """An interrupted and continued iteration neither loses nor repeats a resource."""
    if begin in {projects, pairs}:
        for number in range(0, len(LISTED), 6):
            emulator.seed(LISTED[number : number + 6])
    else:
        emulator.seed(LISTED, default=True)
    draw = random.Random(0)  # noqa: S311 - no secret
    limit = monotonic() + 30
    with Client(emulator.token, base_url=emulator.url, limits=None) as client:
        while len(interrupts) < INTERRUPTIONS:
            iterator, urns_of = begin(client)
            got: list[Any] = []
            ended = False
            while not ended:
                assert monotonic() < limit, "it doesn't get on"
                interval = draw.choice(INTERVALS)
                signal.setitimer(signal.ITIMER_REAL, interval, interval)
                try:
                    for value in iterator:
                        # A call here could be interrupted, too.
                        got += [value]
                    ended = True
                except Interruption:
                    pass
                finally:
                    signal.setitimer(signal.ITIMER_REAL, 0)
            assert sorted(LISTED) == sorted(urn for value in got for urn in urns_of(value))
