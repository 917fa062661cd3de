"""The operations, and the arguments of the client, on both sides."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any
from uuid import UUID

import attrs
import pytest

from digitalocean_projects import (
    URN,
    APIError,
    APIResponseError,
    APIStatusError,
    AssignmentError,
    AsyncClient,
    AuthenticationError,
    BadRequestError,
    ClientUsageError,
    Limits,
    NotFoundError,
    PermissionDeniedError,
    Plan,
    PreconditionFailedError,
    ServerError,
)
from digitalocean_projects.testing import RESOURCE_TYPES, faults

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from digitalocean_projects import Resource
    from digitalocean_projects.testing import Emulator, RecordedRequest

    MakeClient = Callable[..., AsyncClient]

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_leaks")]

NOWHERE = "00000000-0000-0000-0000-000000000000"


@attrs.frozen
class Shop:
    """Something of a user's own that has a URN."""

    urn: str


def droplets(*numbers: int) -> list[str]:
    return [f"do:droplet:{number}" for number in numbers]


def statuses(resources: tuple[Resource, ...]) -> list[tuple[str, str | None]]:
    return [(str(resource.urn), resource.status) for resource in resources]


async def test_list(emulator: Emulator, make_either: MakeClient) -> None:
    """The default project is listed if none is named; else the one of the id, text or UUID."""
    web = emulator.seed(droplets(1, 2), name="web")
    emulator.seed(["do:app:a"], default=True)
    async with make_either() as client:
        projects: list[tuple[str | UUID, list[str]]] = [
            (web, droplets(1, 2)),
            (web.upper(), droplets(1, 2)),
            (UUID(web), droplets(1, 2)),
            ("default", ["do:app:a"]),
        ]
        for project_id, expected in projects:
            resources = await client.projects.list_resources(project_id).collect()
            assert expected == [str(resource.urn) for resource in resources]
        listed = await client.projects.list_resources().collect()
        assert ["do:app:a"] == [str(resource.urn) for resource in listed]


async def test_assign(emulator: Emulator, make_either: MakeClient) -> None:
    """The result has each resource once, in request order, for all ways to name it."""
    web = emulator.seed(droplets(1, 2, 3), name="web")
    emulator.seed(["do:floatingip:203.0.113.1", "do:app:a"], default=True)
    async with make_either() as client:
        listed = await client.projects.list_resources(web).collect()
        result = await client.projects.assign_resources(
            "default",
            [
                "do:app:a",
                URN("reservedip", "203.0.113.1"),
                listed[1],
                Shop("do:droplet:1"),
                "do:droplet:2",
                "do:droplet:9",
                "do:floatingip:203.0.113.1",
            ],
        )
    assert [
        ("do:app:a", "already_assigned"),
        ("do:floatingip:203.0.113.1", "already_assigned"),
        ("do:droplet:2", "assigned"),
        ("do:droplet:1", "assigned"),
        ("do:droplet:9", "not_found"),
    ] == statuses(result.resources)
    assert (["do:droplet:9"], 4, ()) == (
        [str(resource.urn) for resource in result.failed],
        len(result.done),
        result.unknown,
    )
    assert droplets(3) == emulator.resources(web)
    sent = b'{"resources":["do:app:a","do:floatingip:203.0.113.1","do:droplet:2","do:droplet:1",'
    assert emulator.requests[-1].body == sent + b'"do:droplet:9"]}'


async def test_assign_in_chunks(emulator: Emulator, make_either: MakeClient) -> None:
    """Many resources go in chunks, one after the other."""
    web = emulator.seed(droplets(*range(250)), name="web")
    async with make_either() as client:
        result = await client.projects.assign_resources(
            "default", (urn for urn in droplets(*range(250)))
        )
        assert droplets(*range(250)) == [str(resource.urn) for resource in result.done]
        result.raise_for_failed()
        assert ([], 3) == (emulator.resources(web), len(emulator.requests))
        await client.projects.assign_resources(web, droplets(*range(250)), chunk_size=1000)
    assert 4 == len(emulator.requests)


async def test_assign_nothing(emulator: Emulator, make_either: MakeClient) -> None:
    """For no resource at all nothing is sent."""
    async with make_either() as client:
        result = await client.projects.assign_resources("default", [])
    result.raise_for_failed()
    assert ((), []) == (result.resources, emulator.requests)


async def test_first_chunk_fails(emulator: Emulator, make_either: MakeClient) -> None:
    """An error is raised as it is if it applies to all resources, which differ here otherwise."""
    urns = droplets(1, 2)
    async with make_either() as client:
        for status, size in ((500, 2), (403, 1)):
            emulator.respond(status, {"id": "server_error", "message": "Oh no"})
            with pytest.raises(APIStatusError, match="Oh no") as caught:
                await client.projects.assign_resources(
                    "default", urns, chunk_size=size, concurrency=1
                )
            assert (500 == status) is caught.value.in_doubt
        emulator.respond(500, {"id": "server_error", "message": "Oh no"})
        with pytest.raises(AssignmentError, match=r"1 unknown, 1 untouched: .*Oh no") as partial:
            await client.projects.assign_resources("default", urns, chunk_size=1, concurrency=1)
    assert (urns[:1], urns[1:]) == (list(partial.value.unknown), list(partial.value.untouched))
    assert 3 == len(emulator.requests)


async def test_later_chunk_fails(emulator: Emulator, make_either: MakeClient) -> None:
    """An error says what became of each resource before, in and after the chunk that failed."""
    emulator.seed(droplets(1, 2, 3, 4, 5, 6, 7))
    emulator.respond(
        200,
        {"resources": [{"urn": "do:droplet:3"}, {"urn": "do:app:extra", "status": "ok"}]},
        when=lambda request: b"do:droplet:3" in request.body,
    )
    emulator.respond(500, when=lambda request: b"do:droplet:5" in request.body)
    async with make_either() as client:
        with pytest.raises(AssignmentError) as caught:
            await client.projects.assign_resources(
                "default", droplets(1, 99, 3, 4, 5, 6, 7), chunk_size=2, concurrency=1
            )
    error = caught.value
    assert [("do:droplet:1", "assigned"), ("do:droplet:3", None)] == statuses(error.done)
    assert [("do:droplet:99", "not_found")] == statuses(error.failed)
    assert droplets(4, 5, 6) == [str(urn) for urn in error.unknown]
    assert droplets(7) == [str(urn) for urn in error.untouched]
    assert isinstance(error.error, ServerError)
    assert error.error is error.__cause__


async def test_left_out(emulator: Emulator, make_either: MakeClient) -> None:
    """A resource that the answer leaves out is unknown, and no success."""
    emulator.respond(200, {"resources": []})
    async with make_either() as client:
        result = await client.projects.assign_resources("default", ["do:droplet:1"])
    assert ((), (URN("droplet", 1),)) == (result.resources, result.unknown)
    with pytest.raises(AssignmentError, match="0 assigned, 1 unknown: do:droplet:1"):
        result.raise_for_failed()


@pytest.mark.parametrize("body", [{}, [], None, {"resources": {}}, {"resources": [{"urn": 5}]}])
async def test_answer_is_no_assignment(
    emulator: Emulator, make_either: MakeClient, body: object
) -> None:
    """An answer to an assignment that isn't one is an error."""
    emulator.respond(200, body, {"x-request-id": "abc"})
    async with make_either() as client:
        with pytest.raises(APIResponseError, match="request id abc"):
            await client.projects.assign_resources("default", ["do:droplet:1"])


@pytest.mark.parametrize(
    ("resources", "error", "text"),
    [
        (["do:droplet:1", "droplet:2"], ValueError, r"resources\[1\]: .*'droplet:2'"),
        (["do:droplet:1", 2], TypeError, r"resources\[1\]: .*int"),
        ("do:droplet:1", TypeError, "got one str; put a single resource into a list"),
        (5, TypeError, "got one int; put a single resource into a list"),
    ],
)
async def test_wrong_resources(
    emulator: Emulator,
    make_either: MakeClient,
    resources: Any,
    error: type[Exception],
    text: str,
) -> None:
    """A malformed URN is refused with its position, and no request is sent."""
    async with make_either() as client:
        with pytest.raises(error, match=text):
            await client.projects.assign_resources("default", resources)
    assert [] == emulator.requests


@pytest.mark.parametrize(
    "project_id",
    [
        *["", "Default", "..", "%2e%2e", f"{NOWHERE}/", f"../{NOWHERE}", f"{NOWHERE}?a", "a b"],
        *[f"{NOWHERE}\n", f"{NOWHERE}#", "\x00", "https://example.com", f"{{{NOWHERE}}}", "½"],
        *[NOWHERE.replace("-", ""), "default\r\nX: y"],
    ],
)
async def test_wrong_project_id(
    emulator: Emulator, make_either: MakeClient, project_id: str
) -> None:
    """A project is `default` or a UUID; else nothing is sent."""
    async with make_either() as client:
        with pytest.raises(ValueError, match="project must be a UUID, 'default' or a Project"):
            client.projects.list_resources(project_id)
        with pytest.raises(ValueError, match="project must be a UUID, 'default' or a Project"):
            await client.projects.assign_resources(project_id, ["do:droplet:1"])
    assert [] == emulator.requests


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"project": 5}, TypeError),
        ({"per_page": 0}, ValueError),
        ({"per_page": 201}, ValueError),
        ({"per_page": "20"}, TypeError),
        ({"concurrency": 0}, ValueError),
        ({"max_pages": True}, TypeError),
    ],
)
async def test_wrong_numbers(
    make_either: MakeClient, arguments: dict[str, Any], error: type[Exception]
) -> None:
    """A number that is none, or out of range, is refused."""
    async with make_either() as client:
        with pytest.raises(error):
            client.projects.list_resources(**arguments)


async def test_wrong_chunk_size(make_either: MakeClient) -> None:
    """A chunk holds at least one resource, and at least one chunk is sent at a time."""
    async with make_either() as client:
        with pytest.raises(ValueError, match="chunk_size must be at least 1, got 0"):
            await client.projects.assign_resources("default", [], chunk_size=0)
        operations: list[Callable[[], Awaitable[object]]] = [
            lambda: client.projects.assign_resources("default", [], concurrency=0),
            lambda: client.projects.unassign_resources([], concurrency=0),
            lambda: client.projects.reconcile("default", [], concurrency=0),
            lambda: client.projects.apply(Plan(), concurrency=0),
        ]
        for operation in operations:
            with pytest.raises(ValueError, match="concurrency must be at least 1, got 0"):
                await operation()


async def test_no_such_project(make_either: MakeClient) -> None:
    """A project that isn't there is an error with the API's id, message and request id."""
    async with make_either() as client:
        operations: list[Callable[[], Awaitable[object]]] = [
            client.projects.list_resources(NOWHERE).first_page,
            lambda: client.projects.assign_resources(NOWHERE, ["do:droplet:1"]),
        ]
        for operation in operations:
            with pytest.raises(NotFoundError) as caught:
                await operation()
            error = caught.value
            assert (404, "not_found") == (error.status, error.id)
            assert "The resource you requested could not be found." == error.message
            assert error.request_id
            assert error.request_id in str(error)


async def test_wrong_token(make_either: MakeClient) -> None:
    """A token that the API doesn't know is an AuthenticationError that says where it came from."""
    async with make_either("dop_v1_wrong") as client:
        with pytest.raises(AuthenticationError, match=r", token passed to the client\)$"):
            await client.projects.list_resources().collect()


ALTERNATIVE = r"needs the scopes project:update \(or project:assign_resource with project:read\), b"


async def test_narrow_token(emulator: Emulator, make_either: MakeClient) -> None:
    """The error for a token without the scopes to assign names them."""
    emulator.seed(["do:droplet:1", "do:volume:1"], default=True)
    async with make_either(emulator.add_token(["project:read", "droplet:read"])) as client:
        paginator = client.projects.list_resources()
        assert ["do:droplet:1"] == [str(resource.urn) for resource in await paginator.collect()]
        with pytest.raises(PermissionDeniedError, match=ALTERNATIVE) as caught:
            await client.projects.assign_resources("default", ["do:volume:1", "do:droplet:1"])
    assert ("project:update", "block_storage:read", "droplet:read") == caught.value.scopes


async def test_narrow_scopes(emulator: Emulator, make_either: MakeClient) -> None:
    """The error's scopes are those that the API asks for, for every known type of resource."""
    emulator.seed(urns := [f"do:{name}:1" for name in sorted(RESOURCE_TYPES)])
    async with make_either(emulator.add_token(["project:read"])) as client:
        with pytest.raises(PermissionDeniedError) as caught:
            await client.projects.assign_resources("default", urns)
    token = emulator.add_token(caught.value.scopes)
    async with make_either(token) as client:
        result = await client.projects.assign_resources("default", urns)
    assert () == (*result.failed, *result.unknown)


@pytest.mark.parametrize(
    ("urn", "hint"),
    [
        ("do:database:1", "use the type 'dbaas' instead of 'database'"),
        ("do:spaces:1", "use the type 'space' instead of 'spaces'"),
        ("do:vpc_nat_gateway:1", "use the type 'nat_gateway' instead of 'vpc_nat_gateway'"),
        ("do:registry:1", "the API can't assign resources of the type 'registry'"),
    ],
)
async def test_wrong_type(emulator: Emulator, make_either: MakeClient, urn: str, hint: str) -> None:
    """The error for a type that the API doesn't know names the right one."""
    emulator.seed(["do:droplet:1"])
    async with make_either() as client:
        with pytest.raises(BadRequestError, match="resource types must be one of ") as caught:
            await client.projects.assign_resources("default", [urn])
        assert str(caught.value).endswith(f"; {hint})")
        result = await client.projects.assign_resources("default", [urn, "do:droplet:1"])
    assert ["do:droplet:1"] == [str(resource.urn) for resource in result.done]
    with pytest.raises(AssignmentError, match=hint):
        result.raise_for_failed()


async def test_unknown_type(make_either: MakeClient) -> None:
    """An error for a type that nobody knows has no hint."""
    async with make_either() as client:
        with pytest.raises(BadRequestError) as caught:
            await client.projects.assign_resources("default", ["do:newthing:1"])
    assert str(caught.value).endswith(f"request id {caught.value.request_id})")


async def test_resources_of_other_resources(emulator: Emulator, make_either: MakeClient) -> None:
    """An attached address moves with its Droplet, and the API doesn't answer for unknown Spaces."""
    web = emulator.seed(["do:droplet:1", "do:floatingip:192.0.2.1"])
    emulator.attach("do:floatingip:192.0.2.1", "do:droplet:1")
    async with make_either() as client:
        with pytest.raises(PreconditionFailedError, match="Move the Droplet instead"):
            await client.projects.unassign_resources(["do:reservedip:192.0.2.1"])
        result = await client.projects.unassign_resources(["do:droplet:1", "do:space:nothing"])
        assert (["do:droplet:1"], ("do:space:nothing",)) == (
            [resource.urn for resource in result.done],
            result.unknown,
        )
        await client.projects.delete(web)
    assert ["do:droplet:1", "do:floatingip:192.0.2.1"] == sorted(emulator.resources())


@pytest.mark.parametrize("emulator", [{"sparse": True}], indirect=True)
async def test_sparse_listing(emulator: Emulator, make_either: MakeClient) -> None:
    """Resources are listed whole, even if links, times and statuses are missing."""
    emulator.seed(expected := droplets(*range(24)), default=True)
    async with make_either() as client:
        resources = await client.projects.list_resources().collect()
    assert expected == [resource.urn for resource in resources]
    assert {None, "ok"} == {resource.status for resource in resources}
    assert 2 == len({resource.assigned_at is None for resource in resources})


@pytest.mark.parametrize("emulator", [{"limits": [(250, 60.0), (5000, 3600.0)]}], indirect=True)
async def test_stale_reset(emulator: Emulator, make_either: MakeClient) -> None:
    """A limit whose reset is in the past holds up no request."""
    emulator.fail(faults.StaleReset(), times=None)
    async with make_either(limits=Limits()) as client:
        for _ in range(4):
            await client.projects.get_default()
        bucket = client.statistics().bucket
    assert bucket is not None
    # The emulator closes the connection after a fault, so the client may have to send a request
    # twice, which the bucket counts twice.
    assert (4, 0.0) == (len(emulator.requests), bucket.paused)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"<html>Forbidden by a proxy</html>", ""),
        ({"error": "forbidden", "messages": ["No.", "Never."]}, "forbidden; No.; Never."),
        ({"id": "forbidden", "message": {"urn": ["is busy"]}}, "urn: is busy"),
    ],
)
async def test_forbidden_for_another_reason(
    emulator: Emulator, make_either: MakeClient, body: Any, message: str
) -> None:
    """A 403 that isn't about scopes says why, and names no scopes."""
    emulator.respond(403, body)
    async with make_either() as client:
        with pytest.raises(PermissionDeniedError) as caught:
            await client.projects.get("default")
    assert (message, ()) == (caught.value.message, caught.value.scopes)
    assert "scope" not in str(caught.value)


@pytest.mark.parametrize("variable", ["DIGITALOCEAN_TOKEN", "DIGITALOCEAN_ACCESS_TOKEN"])
async def test_environment(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    """Token and address are taken from the environment if they aren't given."""
    monkeypatch.delenv("DIGITALOCEAN_TOKEN", raising=False)
    monkeypatch.setenv("DIGITALOCEAN_API_URL", emulator.url)
    monkeypatch.setenv(variable, emulator.token)
    async with AsyncClient() as client:
        assert 0 == (await client.projects.list_resources().first_page()).total
    monkeypatch.setenv(variable, "dop_v1_wrong")
    async with AsyncClient() as client:
        with pytest.raises(AuthenticationError, match=rf", token from {variable}\)$"):
            await client.projects.get_default()
        view = client.with_options(token="dop_v1_wrong_too")
        with pytest.raises(AuthenticationError, match=r", token passed to the client\)$"):
            await view.projects.get_default()


def test_no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without any token the error says what to set."""
    monkeypatch.delenv("DIGITALOCEAN_TOKEN", raising=False)
    monkeypatch.delenv("DIGITALOCEAN_ACCESS_TOKEN", raising=False)
    with pytest.raises(ClientUsageError, match="set DIGITALOCEAN_TOKEN") as caught:
        AsyncClient()
    assert not isinstance(caught.value, APIError)
    assert isinstance(caught.value, RuntimeError)


async def test_closed_while_assigning(emulator: Emulator, make_either: MakeClient) -> None:
    """Closing the client during an assignment raises an error with the outcome so far."""
    emulator.seed(droplets(1, 2, 3))
    client = make_either()
    loop, second = asyncio.get_running_loop(), asyncio.Event()
    closed = threading.Event()

    def hold(request: RecordedRequest) -> bool:
        if b"do:droplet:2" in request.body:
            loop.call_soon_threadsafe(second.set)
            closed.wait(30)
        return False

    emulator.respond(500, when=hold)
    assigning = asyncio.create_task(
        client.projects.assign_resources("default", droplets(1, 2, 3), chunk_size=1, concurrency=1)
    )
    await second.wait()
    await client.aclose()
    closed.set()
    with pytest.raises(AssignmentError) as caught:
        await assigning
    error = caught.value
    assert [("do:droplet:1", "assigned")] == statuses(error.done)
    assert (droplets(2), droplets(3)) == (
        [str(urn) for urn in error.unknown],
        [str(urn) for urn in error.untouched],
    )
    assert isinstance(error.error, ClientUsageError)
