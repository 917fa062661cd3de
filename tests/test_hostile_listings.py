"""Hostile listings: random pages are decoded or refused in linear time."""

from __future__ import annotations

import json
import subprocess
import sys
from random import Random
from typing import TYPE_CHECKING

import pytest

from digitalocean_projects import (
    APIError,
    APIResponseError,
    AssignmentError,
    AssignmentResult,
    AsyncClient,
    Client,
    Reconciliation,
    Resource,
    RetryPolicy,
)
from digitalocean_projects._cli.reconcile import _so_far
from digitalocean_projects.testing import Emulator

if TYPE_CHECKING:
    from collections.abc import Callable

    MakeClient = Callable[..., AsyncClient]

SECONDS = 120
ROUNDS = 75
MANY = 100_000
ENTRIES = 20_000
PIECES = [
    *("do:droplet:1", "do:", "do", "droplet", "Droplet", "nat_gateway", "1", "a", "münchen.de"),
    *(":", "::", ".", "-", "_", " ", "'", '"', "\\", "/", "?page=", "&", "#", "<", "@", "; "),
    *("\n", "\r", "\t", "\0", "\x1b", "\x7f", "\x85", "\xa0", "\u2028", "\ufeff", "\U0001f600"),
    *("a" * 100, "1" * 1000, ":" * 500, "do:" * 300, "é" * 200, " " * 300),
]
ENDS = [
    "do:Droplet:1",
    "do:app:",
    "droplet:1",
    "",
    "do:droplet:1\ndo:droplet:2",
    "do:a:" + "é" * 99,
]


def text(chance: Random) -> str:
    return "".join(chance.choices(PIECES, k=chance.randint(0, 6)))


def entry(chance: Random, number: int) -> object:
    """Return an entry whose parts may be random texts."""
    usual: dict[str, object] = {
        "urn": f"do:droplet:{number}",
        "assigned_at": "2018-09-28T19:26:37Z",
        "links": {"self": f"https://api.digitalocean.com/v2/droplets/{number}"},
        "status": "ok",
    }
    match chance.randint(0, 9):
        case 0:
            return text(chance)
        case 1:
            return usual | {"links": {"self": text(chance)}}
        case 2:
            return usual | {text(chance): text(chance)}
        case _:
            return usual | {chance.choice([*usual, "urn", "urn"]): text(chance)}


def document(chance: Random) -> bytes:
    size = int(10 ** chance.uniform(0, 3))
    entries: list[object] = [{"urn": f"do:droplet:{number}"} for number in range(size)]
    for position in chance.sample(range(size), chance.randint(0, min(size, 3))):
        entries[position] = entry(chance, position)
    pages = {name: text(chance) for name in ("next", "last") if chance.random() < 0.1}
    return json.dumps({"resources": entries, "links": {"pages": pages}, "meta": {}}).encode()


def fuzz() -> None:
    """Send a client random pages; print the numbers of decoded and refused ones."""
    chance = Random(13)  # noqa: S311 # the same documents in each run
    bodies = [document(chance) for _ in range(ROUNDS)]
    bodies += [
        json.dumps({"resources": [{"urn": "do:a:1"}] * ENTRIES + [{"urn": end}]}).encode()
        for end in ENDS
    ]
    counts = [0, 0]
    with (
        Emulator(limits=()) as emulator,
        Client(
            emulator.token, base_url=emulator.url, limits=None, retry=RetryPolicy(attempts=1)
        ) as client,
    ):
        for body in bodies:
            for send in (
                lambda: client.projects.list_resources().first_page(),
                lambda: client.projects.assign_resources("default", ["do:droplet:1"]),
            ):
                emulator.respond(200, body)
                try:
                    send()
                except APIError:
                    counts[1] += 1
                else:
                    counts[0] += 1
            emulator.forget_requests()
    sys.stdout.write(f"{counts[0]} {counts[1]}")


@pytest.mark.anyio
@pytest.mark.parametrize(
    "urn", ["do:Droplet:1", "do:app:", "do:reservedip:a 'b'", "do:1-x.y:\u2028"]
)
async def test_odd_urn(emulator: Emulator, make_client: MakeClient, urn: str) -> None:
    """A listed resource with an odd URN can be passed back, but its text can't."""
    emulator.respond(200, {"resources": [{"urn": urn}]}, times=None)
    async with make_client() as client:
        [listed] = await client.projects.list_resources().collect()
        assert urn == str(listed.urn)
        result = await client.projects.assign_resources("default", [listed])
        assert ((listed,), ()) == (result.resources, result.unknown)
        assert urn in emulator.requests[-1].body.decode()
        await client.projects.wait_until_assigned("default", [listed], timeout=0)
        plan = await client.projects.reconcile("default", [listed.urn], dry_run=True)
        assert ((listed.urn,), ()) == (plan.kept, plan.added)
        emulator.forget_requests()
        with pytest.raises(ValueError, match="a URN must have the form do:TYPE:ID, got "):
            await client.projects.assign_resources("default", [urn])
    assert [] == emulator.requests


@pytest.mark.anyio
async def test_no_urn(emulator: Emulator, make_client: MakeClient) -> None:
    """An invalid URN is an error that quotes it on one line, without the token."""
    text = f"droplet\n{emulator.token}\x1b[1m" + "x" * 10_000
    emulator.respond(200, {"resources": [{"urn": "do:a:1"}] * 30 + [{"urn": text}]}, times=2)
    async with make_client() as client:
        for refused in (
            client.projects.list_resources().collect(),
            client.projects.assign_resources("default", ["do:a:1"]),
        ):
            with pytest.raises(APIResponseError) as caught:
                await refused
            expected = (
                'resources[30]: expected a URN of the form do:TYPE:ID, got "droplet *** [1mxx'
            )
            assert caught.value.reason.startswith(expected)
            assert emulator.token not in str(caught.value)
            assert len(caught.value.reason) == 500


def many() -> None:
    """Do operations with many values whose time must not grow with the square of their number."""
    with pytest.raises(ValueError, match="user_agent"):
        AsyncClient("token", user_agent="a" * 300_000 + "\n")
    resources = [
        Resource(f"do:app:{number}", status=("assigned", "already_assigned")[number % 2])
        for number in range(MANY)
    ]
    result = AssignmentResult(resources=tuple(resources), unknown=())
    nothing = AssignmentResult(resources=(), unknown=())
    plan = Reconciliation.plan([], [resource.urn for resource in resources], prune=True)
    done = plan.carried_out(result, nothing)
    error = AssignmentError(done=result.done, failed=(), unknown=())
    so_far = _so_far(error, [resource.urn for resource in resources])
    for some in (done, so_far):
        assert MANY == len(some.added) + len(some.kept)


@pytest.mark.process
@pytest.mark.slow
def test_random_texts() -> None:
    """Each page and each answer to an assignment is decoded or an `APIError`, without a freeze.

    A freeze holds the interpreter's lock, so it needs another process to end it. Large values would
    exceed the limit if the time grew with the square of the size.
    """
    ran = subprocess.run(
        [sys.executable, "-X", "faulthandler", __file__],
        capture_output=True,
        text=True,
        timeout=SECONDS + 30,
        check=False,
    )
    assert (0, "") == (ran.returncode, ran.stderr)
    decoded, refused = map(int, ran.stdout.split())
    assert 2 * (ROUNDS + len(ENDS)) == decoded + refused
    assert min(decoded, refused) > ROUNDS // 4


if __name__ == "__main__":
    import faulthandler

    faulthandler.dump_traceback_later(SECONDS, exit=True)
    many()
    fuzz()
