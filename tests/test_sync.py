"""The blocking client, compared with the asyncio client."""

from __future__ import annotations

import asyncio
import inspect
import re
from types import FunctionType
from typing import TYPE_CHECKING, Any

import pytest

import digitalocean_projects
from digitalocean_projects import (
    AsyncClient,
    AsyncInventory,
    AsyncPaginator,
    AsyncProjects,
    Client,
    Inventory,
    Paginator,
    Projects,
)
from digitalocean_projects._facade.generator import LEFT_OUT, rename
from digitalocean_projects.testing import Emulator

if TYPE_CHECKING:
    from collections.abc import Callable

    Member = Callable[..., object]

pytestmark = pytest.mark.usefixtures("no_leaks")

TWINS = [
    (AsyncClient, Client),
    (AsyncInventory, Inventory),
    (AsyncPaginator, Paginator),
    (AsyncProjects, Projects),
]
SCRIPT = """
async def main(token, url, project):
    async with AsyncClient(token, base_url=url) as client:
        listing = client.projects.list_resources(project, per_page=2)
        async for resource in listing:
            yield resource.urn, resource.status
        yield (await listing.first_page()).total, listing.settled
        yield [page.number async for page in listing.pages(start=2)]
        async with listing:
            yield [resource.urn async for resource in listing]
        yield await client.projects.assign_resources("default", await listing.collect())
        await client.aclose()
"""


def members(cls: type) -> dict[str, Member]:
    """Return the public methods, and the functions of properties, by their names."""
    functions = {name: getattr(value, "fget", value) for name, value in vars(cls).items()}
    hidden = set() if cls in {AsyncClient, Client} else {"__init__"}
    return {
        name: function
        for name, function in functions.items()
        # Not the methods that only say what to write instead.
        if isinstance(function, FunctionType)
        and function.__name__ == name
        and (not name.startswith("_") or name.endswith("__"))
        and name not in hidden
    }


PAIRS = {
    f"{twin.__name__}.{rename(name)}": (function, members(twin).get(rename(name)))
    for original, twin in TWINS
    for name, function in members(original).items()
}
each_pair = pytest.mark.parametrize(("original", "twin"), PAIRS.values(), ids=PAIRS)


def parameters(function: Member) -> list[tuple[str, object, object, str]]:
    return [
        (parameter.name, parameter.kind, parameter.default, rename(str(parameter.annotation)))
        for parameter in inspect.signature(function).parameters.values()
        if parameter.name != LEFT_OUT
    ]


def documentation(documented: object) -> str | None:
    text = documented.__doc__ and rename(inspect.cleandoc(documented.__doc__))
    return text and re.sub(rf"\n {{4}}{LEFT_OUT}: .*(\n {{8}}.*)*", "", text)


@pytest.mark.parametrize(("original", "twin"), TWINS)
def test_names(original: type, twin: type) -> None:
    """A blocking class has the public names of its original, renamed, in the same order."""
    assert rename(original.__name__) == twin.__name__
    assert [rename(name) for name in members(original)] == list(members(twin))


def test_exports() -> None:
    """Each asyncio class is exported together with its blocking twin."""
    names = [name for name in digitalocean_projects.__all__ if rename(name) != name]
    assert names == sorted(original.__name__ for original, _ in TWINS)
    assert {rename(name) for name in names} <= set(digitalocean_projects.__all__)


@each_pair
def test_signatures(original: Member, twin: Member) -> None:
    """The signatures of both classes agree, and the members of the twin block."""
    assert parameters(original) == parameters(twin)
    returned = inspect.signature(original).return_annotation
    assert rename(returned) == inspect.signature(twin).return_annotation
    assert not inspect.iscoroutinefunction(twin)


@pytest.mark.parametrize(("original", "twin"), TWINS)
def test_properties(original: type, twin: type) -> None:
    """Both classes have the same properties."""
    kinds = {rename(name): isinstance(vars(original)[name], property) for name in members(original)}
    assert kinds == {name: isinstance(vars(twin)[name], property) for name in members(twin)}


@pytest.mark.parametrize(("original", "twin"), [*TWINS, *PAIRS.values()])
def test_docstrings(original: object, twin: object) -> None:
    """Docstrings of both classes agree, without words that fit only one."""
    assert documentation(original) == documentation(twin)
    assert not re.search(r"(?i)\b(async|await|coroutine|blocking)", documentation(twin) or "")


@pytest.mark.parametrize("client_class", [AsyncClient, Client])
def test_projects(client_class: type[AsyncClient | Client]) -> None:
    """A client and each of its views have one `projects` object."""
    client = client_class("token", base_url="http://127.0.0.1:1")
    view = client.with_options(timeout=1.0)
    assert client.projects is client.projects
    assert view.projects is view.projects is not client.projects


def test_script() -> None:
    """Code for one client runs with the other after the renames."""
    names: dict[str, Any] = {"AsyncClient": AsyncClient, "Client": Client}
    exec(SCRIPT, names)  # noqa: S102 - the text above
    main = names["main"]

    async def original(*arguments: str) -> list[object]:
        return [output async for output in main(*arguments)]

    with Emulator() as emulator:
        project = emulator.seed([f"do:droplet:{number}" for number in range(9)])
        expected = asyncio.run(original(emulator.token, emulator.url, project))
        moved = emulator.resources()
    exec(rename(re.sub(r"\b(async|await) ", "", SCRIPT)), names)  # noqa: S102 - the text above
    with Emulator() as emulator:
        project = emulator.seed([f"do:droplet:{number}" for number in range(9)])
        assert expected == list(names["main"](emulator.token, emulator.url, project))
        assert moved == emulator.resources()
    assert (13, 9) == (len(expected), len(moved))


@pytest.mark.parametrize("arguments", [{"token": "sec ret"}, {"token": "a", "proxy": "sec ret"}])
def test_hidden_arguments(arguments: dict[str, Any]) -> None:
    """Refused secrets are not readable in local variables."""
    with pytest.raises(ValueError, match=r"token|proxy") as caught:
        Client(**arguments)
    local = caught.traceback[1].locals
    assert dict.fromkeys(arguments, "'***'") == {name: repr(local[name]) for name in arguments}
