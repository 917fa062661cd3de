"""The operations on projects, on both sides."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any
from uuid import UUID

import attrs
import pytest

from digitalocean_projects import (
    URN,
    APIResponseError,
    APITimeoutError,
    AssignmentError,
    AssignmentTimeoutError,
    AuthenticationError,
    BadRequestError,
    ConflictError,
    Environment,
    NotFoundError,
    PermissionDeniedError,
    PreconditionFailedError,
    ProjectLookupError,
    Purpose,
    Reconciliation,
    RetryPolicy,
    ServerError,
)
from digitalocean_projects._lookup import near
from digitalocean_projects.testing import MockClock, faults

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from digitalocean_projects import (
        AsyncClient,
        AsyncProjects,
    )
    from digitalocean_projects.testing import Emulator

    MakeClient = Callable[..., AsyncClient]
    Operation = Callable[[AsyncProjects], Awaitable[object]]

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_leaks")]

UNKNOWN = "4e1bfbc3-dc3e-41f2-a18f-1b4d7ba71679"
MEMBERS: dict[str, Any] = {
    "name": "shop",
    "description": "Sells",
    "purpose": "IoT",
    "environment": "staging",
    "is_default": False,
}


async def names(client: AsyncClient) -> list[str]:
    return [project.name async for project in client.projects.list()]


def methods(emulator: Emulator) -> list[str]:
    return [request.method for request in emulator.requests]


def urns(*numbers: int) -> list[str]:
    return [f"do:droplet:{number}" for number in numbers]


async def test_life(make_client: MakeClient) -> None:
    """A project is made, found, changed and deleted."""
    async with make_client() as client:
        made = await client.projects.create(
            "web", Purpose.SERVICE, description="A site", environment=Environment.PRODUCTION
        )
        assert ("web", "A site", "Service or API", "Production", False) == (
            made.name,
            made.description,
            made.purpose,
            made.environment,
            made.is_default,
        )
        assert made == await client.projects.get(made) == await client.projects.get(made.id)
        assert made == await client.projects.find("web")
        patched = await client.projects.patch(made, purpose="my own")
        assert ("Other: my own", "A site") == (patched.purpose, patched.description)
        updated = await client.projects.update(made, **MEMBERS)
        assert ("shop", "Sells", "IoT", Environment.STAGING) == (
            updated.name,
            updated.description,
            updated.purpose,
            updated.environment,
        )
        assert ["shop", "first-project"] == await names(client)
        await client.projects.delete(updated)
        assert ["first-project"] == await names(client)


async def test_default(emulator: Emulator, make_client: MakeClient) -> None:
    """The default project can be had, replaced, but not deleted."""
    web = emulator.seed(name="web")
    async with make_client() as client:
        default = await client.projects.get_default()
        assert (emulator.default_project_id, True) == (default.id, default.is_default)
        await client.projects.patch("default", description="The first")
        await client.projects.patch(web, is_default=True)
        assert web == (await client.projects.get_default()).id
        with pytest.raises(ValueError, match="can't be deleted"):
            await client.projects.delete("default")
        with pytest.raises(BadRequestError):
            await client.projects.delete(web)


async def test_many(emulator: Emulator, make_client: MakeClient) -> None:
    """Projects are listed by pages, as resources are."""
    for number in range(45):
        emulator.seed(name=f"p{number}")
    async with make_client() as client:
        listing = client.projects.list(per_page=10, concurrency=3)
        assert 46 == len(await listing.collect())
        assert [10, 10, 10, 10, 6] == [len(page.items) async for page in listing.pages()]
        assert "p3" == (await client.projects.find("p3")).name


async def test_find(emulator: Emulator, make_client: MakeClient) -> None:
    """A name that no project or more than one has is an error that says so."""
    web = emulator.seed(name="web")
    async with make_client() as client:
        for name, hint in (
            ("WEB", "; did you mean 'web'?"),
            ("we", "; did you mean 'web'?"),
            ("", ""),
            ("shop", ""),
        ):
            with pytest.raises(ProjectLookupError) as c:
                await client.projects.find(name)
            assert f"no project is named {name!r}{hint}" == str(c.value)
        twin = {"id": UNKNOWN, "name": "web"}
        emulator.respond(200, {"projects": [{"id": web, "name": "web"}, twin]})
        with pytest.raises(
            ProjectLookupError, match=f"2 projects are named 'web': {web}, {UNKNOWN}"
        ) as c:
            await client.projects.find("web")
    assert [web, UNKNOWN] == [project.id for project in c.value.found]


async def test_find_near_names(emulator: Emulator, make_client: MakeClient) -> None:
    """The hint has at most three names, the nearest first, and no token."""
    token = f"web-shop-{emulator.token}"
    listed = [f"web-shop-{number}" for number in range(4)] + [token]
    projects = [{"id": str(UUID(int=i)), "name": name} for i, name in enumerate(listed)]
    emulator.respond(200, {"projects": projects}, times=3)
    async with make_client() as client:
        with pytest.raises(ProjectLookupError, match=r"did you mean '.+' or '.+' or '.+'[?]$") as c:
            await client.projects.find("web-shop")
        assert str(c.value).startswith("no project is named 'web-shop'; did you mean 'web-shop-")
        with pytest.raises(ProjectLookupError) as c:
            await client.projects.find(token.upper())
        assert "did you mean 'web-shop-***'?" in str(c.value)


def test_near_name_among_many() -> None:
    """The name that is meant is found among all names, also behind many others."""
    existing = (*(f"tenant-{number:05}" for number in range(10_000)), "web-shop", "Web  Shop")
    assert ["web-shop", "Web  Shop"] == near("webshop", existing)
    assert "web-shop" == near("wbe-shop", existing)[0]
    assert ["Web  Shop"] == near(" web shop", existing)
    assert "tenant-04711" in near("tenant-4711", existing)


def test_near_names_with_the_same_beginning() -> None:
    """Names that differ only at their end are different names."""
    start = "a" * 100
    assert [f"{start}-one", f"{start}-ones"] == near(
        f"{start}-onn", (f"{start}-one", f"{start}-ones", "b")
    )
    assert ["web", "WEB", "wEb"] == near("Web", ("web", "WEB", "wEb", "WeB"))


@pytest.mark.parametrize("name", ["testing", "ba" * 5000, "w", ""])
def test_no_near_name(name: str) -> None:
    """No name is suggested rather than one that differs much."""
    names = [f"{number:06}{'ab' * 80}" for number in range(100)]
    assert [] == near(name, ("staging", "web-shop", *names))


@pytest.mark.parametrize(
    ("name", "hint"), [(UNKNOWN, "pass an id to get()"), ("Default", "call get_default() for the")]
)
async def test_find_by_id(make_client: MakeClient, name: str, hint: str) -> None:
    """An id or `default` in place of a name is an error with the right method."""
    async with make_client() as client:
        with pytest.raises(ProjectLookupError) as caught:
            await client.projects.find(name)
    assert str(caught.value).startswith(f"no project is named {name!r}; {hint}")


FAILURES: list[tuple[Operation, type[Exception]]] = [
    (lambda projects: projects.get(UNKNOWN), NotFoundError),
    (lambda projects: projects.update(UNKNOWN, **MEMBERS), NotFoundError),
    (lambda projects: projects.patch(UNKNOWN, name="x"), NotFoundError),
    (lambda projects: projects.delete(UNKNOWN), NotFoundError),
    (lambda projects: projects.create("first-project", "x"), ConflictError),
    (lambda projects: projects.create("", "x"), ValueError),
    (lambda projects: projects.create("x", ""), ValueError),
    (lambda projects: projects.create("x", "x", environment="moon"), ValueError),
    (lambda projects: projects.patch(UNKNOWN), ValueError),
    (lambda projects: projects.get("web"), ValueError),
    (lambda projects: projects.delete(UNKNOWN, wait=-1.0), ValueError),
    (lambda projects: projects.reconcile("default", ["do:vpc:1"], prune=True), ValueError),
    (lambda projects: projects.reconcile(UNKNOWN, [], prune=True), ValueError),
    (lambda projects: projects.reconcile(UNKNOWN, ["x"]), ValueError),
    (lambda projects: projects.wait_until_assigned(UNKNOWN, [], timeout=-1.0), ValueError),
]


@pytest.mark.parametrize(("operation", "error"), FAILURES)
async def test_failures(
    emulator: Emulator, make_client: MakeClient, operation: Operation, error: type[Exception]
) -> None:
    """An invalid argument is an error, if possible before any request."""
    async with make_client() as client:
        with pytest.raises(error):
            await operation(client.projects)
    assert (error is not ValueError) == bool(emulator.requests)


OPERATIONS: dict[str, Operation] = {
    "project:read": lambda projects: projects.get("default"),
    "project:create": lambda projects: projects.create("x", "y"),
    "project:update": lambda projects: projects.patch("default", name="x"),
    "project:delete": lambda projects: projects.delete(UNKNOWN),
}


@pytest.mark.parametrize(("scope", "operation"), OPERATIONS.items())
async def test_scopes(
    emulator: Emulator, make_client: MakeClient, scope: str, operation: Operation
) -> None:
    """A token that may not do it is refused, with what it needs; a wrong token, too."""
    async with make_client(emulator.add_token(["droplet:read"])) as client:
        with pytest.raises(PermissionDeniedError) as caught:
            await operation(client.projects)
        assert (scope,) == caught.value.scopes
        with pytest.raises(AuthenticationError):
            await operation(client.with_options(token="wrong").projects)


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (faults.LostAnswer(), Exception),
        (faults.Status(500), ServerError),
        (faults.Silence(), APITimeoutError),
    ],
)
async def test_create_is_not_repeated(
    emulator: Emulator, make_client: MakeClient, fault: faults.Fault, error: type[Exception]
) -> None:
    """A project that may have been made isn't made again."""
    emulator.fail(fault)
    async with make_client(retry=RetryPolicy(base_delay=0.0), timeout=0.3) as client:
        with pytest.raises(error) as caught:
            await client.projects.create("web", "x")
    assert (["POST"], 1, True) == (
        methods(emulator),
        getattr(caught.value, "attempts", None),
        getattr(caught.value, "in_doubt", None),
    )


async def test_create_is_repeated_where_nothing_was_done(
    emulator: Emulator, make_client: MakeClient
) -> None:
    """A refusal for the rate limit says that nothing was made."""
    emulator.fail(faults.Status(429, retry_after=0))
    async with make_client(retry=RetryPolicy(base_delay=0.0)) as client:
        assert "web" == (await client.projects.create("web", "x")).name


async def test_delete_whose_answer_is_lost(emulator: Emulator, make_client: MakeClient) -> None:
    """A project that isn't there any more at a second attempt is deleted."""
    web = emulator.seed(name="web")
    emulator.fail(faults.LostAnswer())
    async with make_client(retry=RetryPolicy(base_delay=0.0)) as client:
        await client.projects.delete(web)
        assert ["DELETE", "DELETE"] == methods(emulator)
        with pytest.raises(NotFoundError):
            await client.projects.delete(web)


async def test_delete_waits(emulator: Emulator, make_client: MakeClient) -> None:
    """A project that what was moved is still leaving is deleted when it has left."""
    emulator.move_delay = 20.0
    web = emulator.seed(urns(1, 2), name="web")
    async with make_client(clock=MockClock(rate=0, autojump_threshold=0.01)) as client:
        await client.projects.unassign_resources(urns(1, 2))
        with pytest.raises(PreconditionFailedError) as refused:
            await client.projects.delete(web)
        with pytest.raises(PreconditionFailedError):
            await client.projects.delete(web, wait=5.0)
    (hint,) = refused.value.__notes__
    assert "unassign_resources(), and pass for example wait=60" in hint
    assert ["POST"] + 5 * ["DELETE"] == methods(emulator)


@attrs.define(eq=False)
class SharedClock:
    """The emulator's clock, which each wait moves on."""

    clock: MockClock
    slept: list[float] = attrs.field(factory=list)

    def time(self) -> float:
        return self.clock.time()

    async def sleep(self, seconds: float) -> None:
        self.slept.append(round(seconds, 1))
        self.clock.jump(seconds)
        await asyncio.sleep(0)


@pytest.fixture
def clock(emulator: Emulator) -> SharedClock:
    return SharedClock(emulator.clock)


async def test_moving_and_deleting(
    emulator: Emulator, make_client: MakeClient, clock: SharedClock
) -> None:
    """A script that moves all resources and deletes the project waits for the API."""
    emulator.move_delay = 40.0
    web = emulator.seed(urns(1, 2, 3), name="web")
    async with make_client(clock=clock) as client:
        result = await client.projects.assign_resources("default", urns(1, 2, 3))
        result.raise_for_failed()
        assert urns(1, 2, 3) == emulator.resources(web)
        await client.projects.wait_until_assigned("default", urns(1, 2, 3), timeout=60.0)
        assert [1.0, 2.0, 4.0, 8.0, 15.0, 15.0] == clock.slept
        assert urns(1, 2, 3) == sorted(emulator.resources())
        await client.projects.delete(web, wait=60.0)
    assert ["first-project"] == [project.name for project in emulator.projects()]


async def test_delete_tries_again(
    emulator: Emulator, make_client: MakeClient, clock: SharedClock
) -> None:
    """A project is deleted when the last resource has left it."""
    emulator.move_delay = 5.0
    web = emulator.seed(urns(1), name="web")
    async with make_client(clock=clock) as client:
        await client.projects.unassign_resources(urns(1))
        with pytest.raises(PreconditionFailedError):
            await client.projects.delete(web, wait=1.5)
        assert [1.0, 0.5] == clock.slept
        await client.projects.delete(web, wait=60.0)
    assert [1.0, 0.5, 1.0, 2.0, 4.0] == clock.slept


async def test_waiting_in_vain(
    emulator: Emulator, make_client: MakeClient, clock: SharedClock
) -> None:
    """The error of a timeout names the missing resources."""
    emulator.move_delay = 100.0
    emulator.seed(urns(1), default=True)
    emulator.seed(urns(2), name="web")
    async with make_client(clock=clock) as client:
        await client.projects.assign_resources("default", urns(2))
        with pytest.raises(
            AssignmentTimeoutError,
            match="1 resource is missing in project default after 10 s: do:dr",
        ) as c:
            await client.projects.wait_until_assigned("default", urns(1, 2), timeout=10.0)
        assert tuple(map(URN.parse, urns(2))) == c.value.missing
        # The clock runs by itself, too.
        assert 5.0 < sum(clock.slept) <= 10.0
        with pytest.raises(AssignmentTimeoutError):
            await client.projects.wait_until_assigned("default", urns(1, 2, 3), timeout=0.0)
        before = len(emulator.requests)
        await client.projects.wait_until_assigned("default", [], timeout=0.0)
        assert before == len(emulator.requests)
        await client.projects.wait_until_assigned("default", urns(1), timeout=0.0)


async def test_reconcile(emulator: Emulator, make_client: MakeClient) -> None:
    """A project is brought to a wanted state once; the second time nothing is done."""
    addresses = ["do:reservedip:192.0.2.1", "do:floatingip:192.0.2.2"]
    web = emulator.seed([*urns(1, 2, 3), *addresses], name="web")
    emulator.seed(urns(4, 5), name="other")
    wanted = [*urns(5, 2, 9), "do:floatingip:192.0.2.1", "do:reservedip:192.0.2.2"]
    async with make_client() as client:
        plan = await client.projects.reconcile(web, wanted, prune=True, dry_run=True)
        assert (tuple(urns(5, 9)), tuple(urns(1, 3))) == (
            tuple(map(str, plan.added)),
            tuple(map(str, plan.removed)),
        )
        assert {"GET"} == set(methods(emulator))
        done = await client.projects.reconcile(web, wanted, prune=True)
        assert (urns(5), urns(1, 3), 3) == (
            list(map(str, done.added)),
            list(map(str, done.removed)),
            len(done.kept),
        )
        assert [("do:droplet:9", "not_found")] == [(str(r.urn), r.status) for r in done.failed]
        with pytest.raises(AssignmentError):
            done.raise_for_failed()
        emulator.forget_requests()
        wanted.remove("do:droplet:9")
        again = await client.projects.reconcile(web, wanted, prune=True)
    assert (False, ["GET"]) == (again.changed, methods(emulator))
    assert urns(3, 1) == emulator.resources() or urns(1, 3) == emulator.resources()


async def test_other_notations(emulator: Emulator, make_client: MakeClient) -> None:
    """A resource is the same one in another notation, and is sent as it was passed."""
    held = [
        "do:kubernetes:bd5f5959-5e1e-4205-a714-a914373942af",
        "do:domain:example.com",
        "do:floatingipv6:2001:db8::1",
    ]
    wanted = [
        "do:kubernetes:BD5F5959-5E1E-4205-A714-A914373942AF",
        "do:domain:Example.com",
        "do:reservedipv6:2001:DB8:0::1",
    ]
    web = emulator.seed(held, name="web")
    async with make_client() as client:
        done = await client.projects.reconcile(web, wanted, prune=True)
        assert (False, set(held)) == (done.changed, set(done.kept))
        await client.projects.wait_until_assigned(web, wanted, timeout=0.0)
        emulator.forget_requests()
        result = await client.projects.assign_resources(web, wanted + held)
    assert (held, ()) == ([resource.urn for resource in result.resources], result.unknown)
    assert [{"resources": wanted}] == [json.loads(request.body) for request in emulator.requests]


async def test_reconcile_sends_little(emulator: Emulator, make_client: MakeClient) -> None:
    """Of 3,000 resources of which 10 differ, one assignment of those is sent."""
    web = emulator.seed(urns(*range(2990)), name="web")
    emulator.seed(urns(*range(2990, 3000)), default=True)
    async with make_client() as client:
        done = await client.projects.reconcile(web, urns(*range(3000)))
    assert (10, 2990) == (len(done.added), len(done.kept))
    assert ["GET"] * 15 + ["POST"] == methods(emulator)


@pytest.mark.parametrize("dry_run", [False, True])
async def test_no_emptying(emulator: Emulator, make_either: MakeClient, *, dry_run: bool) -> None:
    """An empty list with `prune` is refused before any request, also from a generator."""
    web = emulator.seed(urns(1), name="web")
    expected = r"not be empty with prune=True; to empty a project, use unassign_resources"
    async with make_either() as client:
        empty: list[Iterable[str]] = [[], iter(urns())]
        for nothing in empty:
            with pytest.raises(ValueError, match=expected):
                await client.projects.reconcile(web, nothing, prune=True, dry_run=dry_run)
        assert [] == emulator.requests
        assert not (await client.projects.reconcile(web, [])).changed


async def test_no_pruning_of_the_default(emulator: Emulator, make_client: MakeClient) -> None:
    """The default project isn't pruned, by whatever name it goes, and nothing is changed."""
    emulator.seed(urns(1), default=True)
    async with make_client() as client:
        with pytest.raises(ValueError, match="can't be pruned"):
            await client.projects.reconcile(emulator.default_project_id, urns(2), prune=True)
        nothing = Reconciliation(added=(), removed=(), kept=(URN("droplet", 1),))
        assert nothing == await client.projects.reconcile(
            emulator.default_project_id, urns(1), prune=True
        )
    assert {"GET"} == set(methods(emulator))


@pytest.mark.parametrize("change", [False, True])
async def test_another_project_in_the_response(
    emulator: Emulator, make_client: MakeClient, *, change: bool
) -> None:
    """A response with another project than the one of the request is an error."""
    wanted, other = emulator.seed(name="wanted"), emulator.seed(name="other")
    emulator.respond(200, {"project": {"id": other, "name": "other"}}, times=None)
    async with make_client() as client:
        with pytest.raises(APIResponseError, match=f"expected the project {wanted}, got"):
            await (
                client.projects.patch(wanted, name="new") if change else client.projects.get(wanted)
            )
        assert other == (await client.projects.get_default()).id


@pytest.mark.parametrize("odd", ["", "../x", "default", "x"])
async def test_default_project_with_an_odd_id(
    emulator: Emulator, make_client: MakeClient, odd: str
) -> None:
    """A default project whose id is not a UUID is the API's fault, and nothing is pruned."""
    web = emulator.seed(urns(1), name="web")
    emulator.respond(
        200,
        {"project": {"id": odd, "name": "odd"}},
        when=lambda request: request.path == "/v2/projects/default",
    )
    async with make_client() as client:
        with pytest.raises(APIResponseError, match="expected the id of a project to be") as caught:
            await client.projects.reconcile(web, urns(2), prune=True)
    assert ("GET", "/v2/projects/default") == (caught.value.method, caught.value.path)
    assert ["GET", "GET"] == methods(emulator)


@pytest.mark.parametrize("odd", ["", "../x", "x"])
async def test_found_project_with_an_odd_id(
    emulator: Emulator, make_client: MakeClient, odd: str
) -> None:
    """A project whose id is not a UUID is found, but refused as an argument."""
    emulator.respond(200, {"projects": [{"id": odd, "name": "w"}]})
    async with make_client() as client:
        project = await client.projects.find("w")
        with pytest.raises(ValueError, match="project must be"):
            client.projects.list_resources(project)
        with pytest.raises(ValueError, match="project must be"):
            await client.projects.get(project)
        with pytest.raises(ValueError, match="project must be"):
            await client.projects.assign_resources(project, urns(1))
    assert 1 == len(emulator.requests)


@pytest.mark.parametrize("added", [True, False])
async def test_reconcile_fails_half_way(
    emulator: Emulator, make_client: MakeClient, *, added: bool
) -> None:
    """Where pruning fails, it is said what was done before; if that is nothing, the error is."""
    web = emulator.seed(urns(1, 2, *([] if added else [3])), name="web")
    emulator.seed(urns(*([3] if added else [])), default=True)
    emulator.fail(
        faults.Status(500),
        when=lambda request: request.method == "POST" and "default" in request.path,
    )
    async with make_client() as client:
        with pytest.raises(AssignmentError if added else ServerError) as caught:
            await client.projects.reconcile(web, urns(3), prune=True)
    if isinstance(caught.value, AssignmentError):
        assert (urns(3), urns(1, 2)) == (
            [str(resource.urn) for resource in caught.value.done],
            list(map(str, caught.value.unknown)),
        )
        assert isinstance(caught.value.error, ServerError)
