"""The package as a whole: its public names, its layers and its imports."""

from __future__ import annotations

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import digitalocean_projects
from digitalocean_projects import AsyncClient, AsyncInventory, AsyncPaginator, AsyncProjects
from digitalocean_projects._facade.generator import RENAMES

if TYPE_CHECKING:
    from collections.abc import Iterator

NAME = "digitalocean_projects"
PACKAGE = Path(digitalocean_projects.__file__).parent
# Each line is a module, or a folder and its modules. A module imports only earlier ones.
HOUSE = """
    _version
    _defaults
    _public
    _clock
    _process
    _messages
    _described
    _codec: __init__ enums urn headers models urns structure resources errors json value pydantic
    _errors
    _arguments
    _config
    _limiter: __init__ budget lease timers source bucket shared
    _session: __init__ retry failures deadlines pool connections transport telemetry tracing manager
    _paginator: __init__ cursor listing prefetch paginator reader inventory
    _lookup
    _request
    _assignment: __init__ results search chunks assignment plan apply reconcile waiting
    _endpoints
    _projects
    _client
    _facade: __init__ loop_thread portal sync generator
    __init__
    testing: _answer _recording _clock _attachments _assignment _project _token _account
    testing: _file _merge _accounts _limits _call _project_handlers _resource_handlers _handlers
    testing: _api faults _scripted _script _guard _page _admin _site _server
    testing: _emulated_account _emulator _demo __init__
    contrib: __init__ doctl
    contrib/mcp: answers reading tools __init__
    _cli: terminal
    _cli/arguments: __init__ tables parser options resources projects emulator
    _cli: output progress signals project account input urns account_file inventory
    _cli: diff listing lookup assigning reconcile plan report projects state_file
    _cli: emulator demo mcp work program __init__
    _cli/completion: __init__ generator
    __main__
    contrib: pytest
    contrib/redis: errors location server limits script connections cluster link ledger
    contrib/redis: bucket __init__
    contrib/fastapi: problems streams dependencies __init__
"""
LAYERS = [
    f"{folder}/{name}" if name else folder
    for folder, _, names in (line.strip().partition(": ") for line in HOUSE.strip().splitlines())
    for name in names.split() or [""]
]
UPWARD = {
    # pydantic asks a class for its schema, which only this module with pydantic can create; and
    # cattrs is imported when a value is asked for its form in JSON.
    ("_codec/models", "_codec/structure"),
    ("_codec/urn", "_codec/pydantic"),
    ("_codec/models", "_codec/pydantic"),
}
CIRCLES = {
    frozenset(f"_codec/{name}" for name in ("urn", "models", "structure", "pydantic")),
}
# Methods and classes that are mostly docstrings; a lock with its queues and timers.
LONGER = {
    "_client": 450,
    "_projects": 600,
    "_errors": 475,
    "_limiter/bucket": 450,
    "_codec/urn": 410,
}
FOREIGN = {
    # The clients have its classes in their annotations.
    "aiohttp": {
        "_client",
        "_facade/sync",
        "_session/connections",
        "_session/failures",
        "_session/transport",
        "testing/_server",
    },
    "anyio": {"_facade/loop_thread"},
    "backoff": {"_config", "_facade/loop_thread"},
    "cattrs": {"_codec/structure"},
    "msgspec": {"_codec/json", "_codec/resources", "_codec/structure"},
    "opentelemetry": {"_session/telemetry"},
    "shtab": {"_cli/completion/generator"},
    "mcp": {"contrib/mcp/tools"},
    "pydantic": {
        "_codec/pydantic",
        "contrib/fastapi/dependencies",
        "contrib/fastapi/streams",
        "contrib/mcp/answers",
        "contrib/mcp/tools",
    },
    "multidict": {"_session/transport"},
    "yarl": {"_session/transport"},
}


@cache
def modules() -> dict[str, ast.Module]:
    return {
        str(path.relative_to(PACKAGE).with_suffix("")): ast.parse(path.read_text("utf-8"))
        for path in PACKAGE.rglob("*.py")
    }


def at_run_time(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes of a module, except those that only type checkers see."""
    nodes = [node]
    while nodes:
        node = nodes.pop()
        if not (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)):
            yield node
            nodes += ast.iter_child_nodes(node)


@cache
def packages(tree: ast.Module) -> set[str]:
    """Return the packages that a module imports at run time, including those in functions."""
    names = list[str]()
    for node in at_run_time(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.append(node.module)
    return {name.split(".")[0] for name in names}


@cache
def imports() -> dict[str, set[str]]:
    """Return the modules of the package that each one imports.

    Imports that only type checkers see, and those within functions, count, too.
    """
    trees = modules()
    graph = {name: set[str]() for name in trees}
    for name, tree in trees.items():
        folders = [NAME, *name.split("/")[:-1]]
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                assert not [a for a in node.names if a.name.startswith(NAME)], "not seen below"
            if not isinstance(node, ast.ImportFrom):
                continue
            path = folders[: len(folders) - node.level + 1] if node.level else []
            path += node.module.split(".") if node.module else []
            if path[0] != NAME:
                continue
            for alias in node.names:
                found = "/".join([*path[1:], alias.name])
                if found not in trees and f"{found}/__init__" not in trees:
                    found = "/".join(path[1:])
                graph[name].add(found if found in trees else f"{found}/__init__".lstrip("/"))
    return graph


def circles(graph: dict[str, set[str]]) -> set[frozenset[str]]:
    """Return the groups of modules that import each other, directly or indirectly."""
    reached = {name: set(found) for name, found in graph.items()}
    for middle in graph:
        for found in reached.values():
            if middle in found:
                found.update(reached[middle])
    return {
        frozenset(other for other in found if name in reached[other])
        for name, found in reached.items()
        if name in found
    }


def test_layers() -> None:
    """A module imports only the modules before it in the list."""
    graph = imports()
    assert sorted(LAYERS) == sorted(graph)
    order = {name: position for position, name in enumerate(LAYERS)}
    edges = {(name, other) for name, found in graph.items() for other in found}
    assert UPWARD == {(name, other) for name, other in edges if order[name] <= order[other]}


def test_circles() -> None:
    """Only the known modules import each other."""
    assert CIRCLES == circles(imports())


def test_testing_is_independent() -> None:
    """The emulator shares only `URN`, and the way to publish names, with the client."""
    shared = {
        other
        for name, found in imports().items()
        if name.startswith("testing/")
        for other in found
        if not other.startswith("testing/")
    }
    assert {"_codec/urn", "_public"} == shared


@pytest.mark.parametrize("package", FOREIGN)
def test_foreign_packages(package: str) -> None:
    """Each third-party package is imported only in its known modules."""
    users = {name for name, tree in modules().items() if package in packages(tree)}
    assert FOREIGN[package] == users


def test_public_names() -> None:
    """`__all__` has the names that type checkers see, and each of them exists."""
    tree = modules()["__init__"]
    seen = {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.level and node.module != "_version"
        for alias in node.names
    }
    assert seen == set(digitalocean_projects.__all__)
    assert sorted(seen) == sorted(" ".join(vars(digitalocean_projects)["_HOMES"].values()).split())
    assert all(hasattr(digitalocean_projects, name) for name in seen)
    assert seen <= set(dir(digitalocean_projects))


def test_public_types_are_tested() -> None:
    """The typing tests use each public name, and each operation of both clients."""
    shown = (Path(__file__).parent / "typing" / "api.py").read_text("utf-8")
    assert [] == [name for name in digitalocean_projects.__all__ if name not in shown]
    for side in (AsyncClient, AsyncProjects, AsyncPaginator, AsyncInventory):
        for name in vars(side):
            twin = RENAMES.get(name, name)
            expected = 2 if twin == name else 1
            if not name.startswith("_"):
                assert shown.count(f".{name}") >= expected, name
                assert shown.count(f".{twin}") >= expected, twin


def test_no_such_name() -> None:
    """A name that isn't public is an AttributeError."""
    with pytest.raises(AttributeError, match="'digitalocean_projects' has no attribute 'NoSuch'"):
        _ = digitalocean_projects.NoSuch  # type: ignore[attr-defined]  # it is the point


LAZY = {
    "import digitalocean_projects": set[str](),
    "from digitalocean_projects import DEFAULT_PROJECT, URN, Environment": set[str](),
    "from digitalocean_projects import NotFoundError, Page, RateLimit, Resource": {"attrs"},
    "from digitalocean_projects import AsyncClient": {"aiohttp", "attrs"},
    "from digitalocean_projects import Client": {
        *("aiohttp", "anyio", "attrs", "backoff", "cattrs", "msgspec"),
    },
}


@pytest.mark.process
def test_import_is_lazy() -> None:
    """A program imports only the dependencies that it uses."""
    packages = "{'aiohttp', 'anyio', 'attrs', 'backoff', 'cattrs', 'msgspec'}"
    loaded = f"print(*{packages} & {{*sys.modules}})"
    code = "\n".join(["import sys", *(f"{statement}; {loaded}" for statement in LAZY)])
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert list(LAZY.values()) == [set(line.split()) for line in done.stdout.splitlines()]


@pytest.mark.parametrize("name", sorted(set(LAYERS) - {"_facade/sync"}))
def test_modules_are_small(name: str) -> None:
    """A handwritten module has at most 400 lines."""
    assert len((PACKAGE / f"{name}.py").read_text("utf-8").splitlines()) <= LONGER.get(name, 400)
