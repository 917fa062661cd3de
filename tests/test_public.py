"""The public names: their module, annotations, `repr`, and the messages for a wrong use."""

from __future__ import annotations

import asyncio
import inspect
import traceback
from collections.abc import AsyncIterable, Awaitable, Iterable
from importlib import import_module
from typing import TYPE_CHECKING, Any, get_type_hints
from unittest.mock import patch

import cattrs
import pytest

import digitalocean_projects
from digitalocean_projects import AsyncClient, Client, NotFoundError
from digitalocean_projects._codec.headers import Headers
from digitalocean_projects.testing import Emulator, MockClock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PACKAGES = [
    "digitalocean_projects",
    "digitalocean_projects.contrib.fastapi",
    "digitalocean_projects.contrib.mcp",
    "digitalocean_projects.contrib.redis",
    "digitalocean_projects.testing",
    "digitalocean_projects.testing.faults",
]
URL = "http://127.0.0.1:1"


def public(package: str) -> Iterator[Any]:
    """Yield the public classes and functions of a package."""
    module = import_module(package)
    for name in module.__all__:
        value = getattr(module, name)
        if inspect.isclass(value) or inspect.isfunction(value):
            yield value


@pytest.mark.parametrize("package", PACKAGES)
def test_modules(package: str) -> None:
    """Each public class, method and function reports the package that exports it."""
    assert {package} == {value.__module__ for value in public(package)}
    for value in public(package):
        for name, method in vars(value).items():
            if inspect.isfunction(method) and not name.startswith("_"):
                assert package == method.__module__


@pytest.mark.parametrize("package", PACKAGES)
def test_annotations(package: str) -> None:
    """The annotations of each class, method and function are found at run time."""
    for value in public(package):
        assert isinstance(get_type_hints(value), dict)
        for member in vars(value).values():
            function = member.fget if isinstance(member, property) else member
            function = getattr(function, "__func__", function)
            if inspect.isfunction(function):
                assert isinstance(get_type_hints(function), dict)


def test_traceback(emulator: Emulator) -> None:
    """A traceback names an error by its public module."""
    client = Client(emulator.token, base_url=emulator.url)
    with client, pytest.raises(NotFoundError) as caught:
        client.projects.get("4de7ac8b-495b-4884-9a69-1050c6793cd6")
    assert "\ndigitalocean_projects.NotFoundError: 404" in "".join(
        traceback.format_exception(caught.value)
    )


def test_dir() -> None:
    """`dir()` of the package shows the public names and the public subpackages."""
    names = {name for name in dir(digitalocean_projects) if not name.startswith("__")}
    assert {*digitalocean_projects.__all__, "contrib", "testing"} == names
    for name in ("contrib", "testing"):
        # Without the attribute that an import has set.
        found = digitalocean_projects.__getattr__(name)
        assert import_module(f"digitalocean_projects.{name}") is found


@pytest.mark.parametrize("package", [name for name in PACKAGES[1:] if "faults" not in name])
def test_wrong_import(package: str) -> None:
    """Importing a name of a subpackage from the package says where the name is."""
    for name in import_module(package).__all__:
        with pytest.raises(ImportError) as caught:
            exec(f"from digitalocean_projects import {name}")  # noqa: S102 - a user's statement
        expected = f"{name} is in another module; write `from {package} import {name}`"
        assert expected == str(caught.value)


def test_missing_attributes() -> None:
    """A name of a subpackage is no attribute of the package, and the error says where it is."""
    package: Any = digitalocean_projects
    for name in ("Emulator", "client_for", "RedisLimits", "Cleint"):
        assert not hasattr(package, name)
        assert getattr(package, name, None) is None
        with pytest.raises(AttributeError):
            patch.object(package, name).__enter__()
    hint = "Emulator is in another module; write `from digitalocean_projects.testing import Emul"
    with pytest.raises(AttributeError, match=hint):
        _ = package.Emulator


def test_repr_of_clients() -> None:
    """Clients and what they return show the base URL or path, the state, and never the token."""
    with Client("swordfish", base_url=URL) as client:
        projects = client.projects
        assert [
            f"<Client at {URL} (open)>",
            f"<Client at {URL} (open)>",
            f"<Projects at {URL}>",
            "<Paginator of /v2/projects>",
            "<Paginator of /v2/projects/default/resources>",
            "<Inventory of all projects>",
        ] == [
            repr(client),
            repr(client.with_options(token="sesame")),
            repr(projects),
            repr(projects.list()),
            repr(projects.list_resources()),
            repr(projects.resources_by_project()),
        ]
    assert f"<Client at {URL} (closed)>" == repr(client)


def test_repr_of_asynchronous_clients() -> None:
    """Asynchronous clients and what they return show the same."""

    async def main() -> None:
        async with AsyncClient("swordfish", base_url=URL) as client:
            assert f"<AsyncClient at {URL} (open)>" == repr(client)
        assert f"<AsyncClient at {URL} (closed)>" == repr(client)
        assert f"<AsyncProjects at {URL}>" == repr(client.projects)
        assert "<AsyncPaginator of /v2/projects>" == repr(client.projects.list())
        assert "<AsyncInventory of all projects>" == repr(client.projects.resources_by_project())
        chosen = client.projects.resources_by_project(["default"])
        assert "<AsyncInventory of chosen projects>" == repr(chosen)

    asyncio.run(main())


def test_repr_of_emulator() -> None:
    """An emulator shows its URL, its state and the number of its projects."""
    emulator = Emulator(clock=MockClock())
    assert "<Emulator at None (stopped) projects=1>" == repr(emulator)
    with emulator:
        assert f"<Emulator at {emulator.url} (listening) projects=1>" == repr(emulator)


async def wait_for(value: Any) -> None:
    await value


async def read(value: Any) -> None:
    async for _ in value:
        pass


LISTINGS: dict[str, Callable[[Any], Any]] = {
    "Paginator": lambda projects: projects.list(),
    "Inventory": lambda projects: projects.resources_by_project(),
}


@pytest.mark.parametrize("name", LISTINGS)
def test_asynchronous_listing_in_blocking_code(name: str) -> None:
    """A `for` loop over an asynchronous listing, and an `await` of it, say what to write."""
    client = AsyncClient("swordfish", base_url=URL)
    made = LISTINGS[name](client.projects)
    for use in (list, lambda value: asyncio.run(wait_for(value))):
        with pytest.raises(TypeError, match=rf"an Async{name} must be read with `async for .* or "):
            use(made)
    for iterator in (made.pages(), aiter(made)):
        with pytest.raises(TypeError, match="must be read with `async for`"):
            list(iterator)


@pytest.mark.parametrize("name", LISTINGS)
def test_blocking_listing_in_asynchronous_code(name: str) -> None:
    """A blocking listing is no asynchronous iterable for libraries that read both kinds."""
    with Client("swordfish", base_url=URL) as client:
        made = LISTINGS[name](client.projects)
        assert not isinstance(made, AsyncIterable | Awaitable)
        assert isinstance(made, Iterable)
        assert isinstance(LISTINGS[name](AsyncClient("x").projects), AsyncIterable)
        for use in (read, wait_for):
            with pytest.raises(TypeError, match=name):
                asyncio.run(use(made))


def test_plain_cattrs() -> None:
    """A plain converter of cattrs unstructures a page."""
    page = digitalocean_projects.Page(
        items=(digitalocean_projects.Resource("do:droplet:1"),),
        number=1,
        total=1,
        rate_limit=None,
        request_id="7",
        headers=Headers({"X": "y"}),
    )
    members = {"urn": "do:droplet:1", "assigned_at": None, "self_link": None, "status": None}
    expected = {
        "items": [members],
        "number": 1,
        "total": 1,
        "rate_limit": None,
        "request_id": "7",
        "headers": {"x": "y"},
    }
    assert expected == cattrs.unstructure(page)
