"""The generator of the blocking facade."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from textwrap import indent

import pytest

from digitalocean_projects._facade import generator as facade
from digitalocean_projects._facade.generator import UnknownShapeError, generate, main

CASES = {
    "the client": (
        '''
class AsyncClient:
    """A client.

    Close it with `aclose`; an `_aclose` and the `AsyncPaginator2` keep their names.
    """

    def __init__(self, token: str | None = None, *, proxy: str = "", timeout: float = 1.5) -> None:
        self._token = token

    @property
    def projects(self) -> AsyncProjects:
        return self._projects

    @property
    def base_url(self) -> str:
        """Where the API is."""
        return self._base_url

    def count(self) -> int:
        return 5

    def with_options(self, *, token: str | NothingType = NOTHING) -> AsyncClient:
        return self

    async def aclose(self) -> None:
        """Close the connections.

        Raises:
            ClientUsageError: It can't be.
        """

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *, error: BaseException | None = None) -> None:
        await self.aclose()
''',
        '''
class Client:
    """A client.

    Close it with `close`; an `_aclose` and the `AsyncPaginator2` keep their names.
    """

    def __init__(self, token: str | None=None, *, proxy: str='', timeout: float=1.5) -> None:
        token = Secret.hide(token)
        proxy = Secret.hide(proxy)
        self._async = AsyncClient(token, proxy=proxy, timeout=timeout)
        self._portal = Portal(self._async.aclose)
        self._close = self._portal.close
        self._projects = Projects(self._portal, self._async.projects)

    @classmethod
    def _view(cls, portal: Portal, original: AsyncClient) -> Self:
        view = cls.__new__(cls)
        view._portal = portal
        view._async = original
        view._close = lambda: None
        view._projects = Projects(view._portal, view._async.projects)
        return view

    @property
    def projects(self) -> Projects:
        return self._projects

    @property
    def base_url(self) -> str:
        """Where the API is."""
        return self._async.base_url

    def count(self) -> int:
        return self._async.count()

    def with_options(self, *, token: str | NothingType=NOTHING) -> Client:
        token = token if token is NOTHING else Secret.hide_any(token)
        return Client._view(self._portal, self._async.with_options(token=token))

    def close(self) -> None:
        """Close the connections.

        Raises:
            ClientUsageError: It can't be.
        """
        self._close()

    def __enter__(self) -> Self:
        self._portal.call(self._async.__aenter__)
        return self

    def __exit__(self, *, error: BaseException | None=None) -> None:
        self.close()
''',
    ),
    "operations": (
        '''
class AsyncProjects:
    """The operations."""

    def __init__(self, manager: Manager, *rest: object) -> None:
        self._manager = manager

    def list(self, project_id: UUID, *, page: int = FIRST) -> AsyncPaginator[Resource]:
        """A listing."""

    async def assign(
        self, urns: Iterable[URNLike], *, more: Iterable[URNLike] = (), size: int = 1
    ) -> Result[URN]:
        """A result."""

    async def delete(self, project_id: UUID) -> None:
        """Nothing."""

    async def _stream(self, **options: object) -> AsyncIterator[bytes]:
        yield b""
''',
        '''
class Projects:
    """The operations."""

    def __init__(self, portal: Portal, original: AsyncProjects) -> None:
        self._portal = portal
        self._async = original

    def list(self, project_id: UUID, *, page: int=FIRST) -> Paginator[Resource]:
        """A listing."""
        return Paginator(self._portal, self._async.list(project_id, page=page))

    def assign(self, urns: Iterable[URNLike], *, more: Iterable[URNLike]=(), size: int=1) -> Result[URN]:
        """A result."""
        return self._portal.call(self._async.assign, distinct_urns(urns), more=distinct_urns(more), size=size)

    def delete(self, project_id: UUID) -> None:
        """Nothing."""
        self._portal.call(self._async.delete, project_id)
''',  # noqa: E501 - the formatter comes after
    ),
    "an iterable": (
        '''
class AsyncPaginator(Generic[T]):
    """The items."""

    def __aiter__(self) -> AsyncIterator[T]:
        return self

    def pages(self, start: int = 1) -> AsyncIterator[Page[T]]:
        """The pages."""

    async def aclose(self) -> None:
        """End the reading."""


class _Pages(Generic[T]):
    pass


class _Other:
    attribute = 1
''',
        '''
class Paginator(Generic[T]):
    """The items."""

    def __init__(self, portal: Portal, original: AsyncPaginator[T]) -> None:
        self._portal = portal
        self._async = original

    def __iter__(self) -> Iterator[T]:
        return self._portal.items(self._async.pages())

    def pages(self, start: int=1) -> Iterator[Page[T]]:
        """The pages."""
        return self._portal.iterate(self._async.pages(start))

    def close(self) -> None:
        """End the reading."""
        self._portal.call_if_open(self._async.aclose)
''',
    ),
}
UNKNOWN_CLASSES = {
    "class Other:\n    pass": "line 2: a public class that is not in RENAMES: class Other:",
    "class AsyncPaginator(Base):\n    'D.'": "line 2: a base class other than Generic: Base",
    "class AsyncPaginator(Protocol[T]):\n    'D.'": "line 2: a base class other than Generic: ",
    "class AsyncClient:\n    r'\\d'": "line 2: a docstring with a backslash or quotes: class",
    "class AsyncClient:\n    'Say \"x\"'": "line 2: a docstring with a backslash or quotes: class",
    "class AsyncClient:\n    'Await it.'": "line 2: a docstring that is wrong for blocking",
    "class AsyncClient:\n    a = 1": "line 2: a class without a docstring: class AsyncClient:",
    "@final\nclass AsyncClient:\n    'D.'": "line 3: a decorator or metaclass: @final",
    "class AsyncClient(metaclass=M):\n    'D.'": "line 2: a decorator or metaclass: class",
    "class AsyncClient:\n    'D.'\n    def __len__(self) -> int: ...": "line 4: a special method",
    "class AsyncClient:\n    'D.'\n    def __init__(self, *a: int) -> None: ...": (
        "line 4: a variadic or positional-only parameter: def __init__(self, *a: int)"
    ),
}
UNKNOWN_MEMBERS = {
    "limit = 1": "a member that is not a method: limit = 1",
    "limit: int": "a member that is not a method: limit: int",
    "class Inner: ...": "a member that is not a method: class Inner:",
    "@overload\nasync def get(self) -> int: ...": "a decorator: @overload",
    "@staticmethod\ndef get() -> int: ...": "a decorator: @staticmethod",
    "@property\n@cache\ndef get(self) -> int: ...": "a decorator: @property",
    "async def get(self) -> Iterator[int]: yield 1": "a generator: async def get(self)",
    "def get(self) -> AsyncIterator[int]: yield from x": "a generator: def get(self)",
    "async def get(self, a: AsyncPaginator[int]) -> int: ...": "a parameter of a renamed type: a",
    "async def get(self): ...": "a method without a return annotation: async def get(self)",
    "def get(self): ...": "a method without a return annotation: def get(self)",
    "@property\ndef get(self): ...": "a method without a return annotation: @property",
    "def get(self) -> list[AsyncProjects]: ...": "a result that contains an awaitable: def get",
    "async def get(self) -> AsyncPaginator[int]: ...": "a coroutine that returns a renamed class",
    "async def get(self) -> list[AsyncProjects]: ...": "a result that contains an awaitable: ",
    "def get(self) -> Awaitable[int]: ...": "a result that contains an awaitable: def get",
    "def get(self) -> asyncio.Task[int]: ...": "a result that contains an awaitable: def get",
    "def get(self) -> Self: ...": "a blocking method that returns the original: def get",
    "@property\ndef get(self) -> AsyncProjects | None: ...": (
        "a result that contains an awaitable: @property"
    ),
    "async def get(self, a: Iterable[int]) -> int: ...": (
        "an iterable that the portal's loop would read: a: Iterable[int]"
    ),
    "async def get(self, a: None | Iterable[URNLike]) -> int: ...": (
        "an iterable that the portal's loop would read: a: None | Iterable[URNLike]"
    ),
    "async def get(self, *a: int) -> int: ...": "a variadic or positional-only parameter",
    "async def get(self, **a: int) -> int: ...": "a variadic or positional-only parameter",
    "async def get(self, a: int, /) -> int: 1": "a variadic or positional-only parameter",
    "async def get(self) -> int: r'\\d'": "a docstring with a backslash or quotes: async def get",
}


@pytest.mark.parametrize(("source", "expected"), CASES.values(), ids=CASES)
def test_classes(source: str, expected: str) -> None:
    """A class becomes one that delegates to it."""
    generated = generate({"_client": source})
    end = generated.index("publish(globals())")
    assert expected.strip() == generated[generated.index("class ") : end].strip()


def test_head() -> None:
    """The classes follow the order of the modules, after their imports and variables."""
    client = '''
from __future__ import annotations
from json import loads
from typing import TYPE_CHECKING, Self
from uuid import UUID

from ._config import DEFAULT, UNUSED

if TYPE_CHECKING:
    from ._models import Page
    from ._paginator import AsyncPaginator

Unused = TypeVar("Unused")

class AsyncProjects:
    """P."""

    async def get(self, project_id: UUID | str = DEFAULT) -> Self:
        return loads(UNUSED)

    def list(self) -> AsyncPaginator[Page]:
        """L."""
'''
    paginator = '''
from typing import Generic, TypeVar

T = TypeVar("T", bound=int)

class AsyncPaginator(Generic[T]):
    """I."""
'''
    assert '''\
# Generated by `python -m digitalocean_projects._facade.generator` from the originals.
"""Client: the API's operations, for blocking callers."""

from __future__ import annotations

from digitalocean_projects._paginator import AsyncPaginator
from digitalocean_projects._client import AsyncProjects
from digitalocean_projects._config import DEFAULT
from typing import Generic
from digitalocean_projects._models import Page
from digitalocean_projects._facade.portal import Portal
from typing import Self
from typing import TypeVar
from uuid import UUID
from digitalocean_projects._public import publish

T = TypeVar('T', bound=int)

class Projects:
    """P."""

    def __init__(self, portal: Portal, original: AsyncProjects) -> None:
        self._portal = portal
        self._async = original

    def get(self, project_id: UUID | str=DEFAULT) -> Self:
        self._portal.call(self._async.get, project_id)
        return self

    def list(self) -> Paginator[Page]:
        """L."""
        return Paginator(self._portal, self._async.list())


class Paginator(Generic[T]):
    """I."""

    def __init__(self, portal: Portal, original: AsyncPaginator[T]) -> None:
        self._portal = portal
        self._async = original


publish(globals())
''' == generate({"_client": client, "_paginator": paginator})


@pytest.mark.parametrize(("source", "message"), UNKNOWN_CLASSES.items())
def test_unknown_classes(source: str, message: str) -> None:
    """A class without a blocking form is refused, with its line."""
    with pytest.raises(UnknownShapeError) as caught:
        generate({"_client": f"\n{source}"})
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(("source", "message"), UNKNOWN_MEMBERS.items())
def test_unknown_members(source: str, message: str) -> None:
    """A member without a blocking form is refused."""
    with pytest.raises(UnknownShapeError) as caught:
        generate({"_client": 'class AsyncProjects:\n    """D."""\n\n' + indent(source, "    ")})
    assert f": {message}" in str(caught.value)


def test_long_shapes_are_cut() -> None:
    """An error shows the first 100 characters of the code."""
    with pytest.raises(UnknownShapeError) as caught:
        generate({"_client": f"class {'C' * 1000}: ..."})
    assert f"line 1: a public class that is not in RENAMES: class {'C' * 94}" == str(caught.value)


@pytest.mark.process
def test_current() -> None:
    """The package's facade is what its sources generate."""
    command = [sys.executable, "-m", "digitalocean_projects._facade.generator", "--check"]
    done = subprocess.run(command, capture_output=True, check=False, text=True)
    assert (0, "", "") == (done.returncode, done.stdout, done.stderr)


@pytest.fixture
def target(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Return a copy of the package's facade, which replaces it."""
    shutil.copy(Path(__file__).parents[1] / "pyproject.toml", tmp_path)
    target = Path(shutil.copy(facade.TARGET, tmp_path))
    monkeypatch.setattr(facade, "TARGET", target)
    return target


@pytest.mark.parametrize("change", ["# changed\n", "\n", "x = 1\n"])
def test_check(change: str, target: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`--check` reports a difference; without it, the facade is generated again."""
    current = target.read_text("utf-8")
    target.write_text(current + change, "utf-8")
    assert 1 == main(["--check"])
    assert ("", "sync.py is out of date: run the generator\n") == capsys.readouterr()
    assert current + change == target.read_text("utf-8")
    assert 0 == main([])
    assert current == target.read_text("utf-8")
    assert 0 == main(["--check"])
    assert ("", "") == capsys.readouterr()


@pytest.mark.parametrize("arguments", [["--chek"], ["check"], ["--check", "--check"], [""]])
def test_usage(arguments: list[str], target: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Other arguments are refused with the usage, and nothing is written."""
    target.write_text("", "utf-8")
    assert 2 == main(arguments)
    assert ("", f"{facade.__doc__}\n") == capsys.readouterr()
    assert not target.read_text("utf-8")
