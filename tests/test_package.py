"""The package as a whole: its public names, its layers, and what importing it costs."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import digitalocean_projects
from digitalocean_projects import AsyncClient, AsyncInventory, AsyncPaginator, AsyncProjects
from digitalocean_projects._facade.generator import RENAMES

NAME = "digitalocean_projects"
PACKAGE = Path(digitalocean_projects.__file__).parent
LAYERS = [
    "__init__",
    "_clock",
    "_process",
    "_secret",
    "_codec/__init__",
    "_codec/urn",
    "_codec/headers",
    "_codec/models",
    "_codec/structure",
    "_codec/json",
    "_codec/pydantic",
    "_request",
    "_errors",
    "_results",
    "_config",
    "_limiter/__init__",
    "_limiter/budget",
    "_limiter/lease",
    "_limiter/timers",
    "_limiter/source",
    "_limiter/bucket",
    "_limiter/shared",
    "_session/__init__",
    "_session/retry",
    "_session/transport",
    "_session/pool",
    "_session/manager",
    "_assignment",
    "_paginator/__init__",
    "_paginator/listing",
    "_paginator/prefetch",
    "_paginator/paginator",
    "_paginator/inventory",
    "_settable",
    "_projects",
    "_client",
    "_facade/__init__",
    "_facade/loop_thread",
    "_facade/portal",
    "_facade/sync",
    "_facade/generator",
    "_cli/terminal",
    "_cli/parser",
    "_cli/columns",
    "_cli/output",
    "_cli/progress",
    "_cli/signals",
    "_cli/report",
    "_cli/doctl",
    "_cli/resources",
    "_cli/projects",
    "_cli/standalone",
    "_cli/arguments",
    "_cli/program",
    "_cli/__init__",
    "__main__",
]
# A method for each operation, and most of it docstrings; a lock with its queues and timers.
LONGER = {"_projects": 535, "_limiter/bucket": 445}
FOREIGN = {
    "aiohttp": {"_session/transport", "testing/_server"},
    "anyio": {"_facade/loop_thread"},
    "backoff": {"_session/retry"},
    "cattrs": {"_codec/structure"},
    "msgspec": {"_codec/json", "_codec/structure"},
    "pydantic": {"_codec/pydantic"},
    "yarl": {"_session/transport"},
}


def modules() -> dict[str, ast.Module]:
    return {
        str(path.relative_to(PACKAGE).with_suffix("")): ast.parse(path.read_text("utf-8"))
        for path in PACKAGE.rglob("*.py")
    }


def imported(tree: ast.Module) -> set[str]:
    """What a module imports when it is imported itself: `.name` for a sibling, else a package."""
    found = set[str]()
    for node in tree.body:
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 1:
            found |= {f".{node.module or '__init__'}"}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module.split(".")[0]}
    return found


def layers_imported(name: str, tree: ast.Module) -> set[str]:
    """Return the modules of the package that a module imports when it is imported itself."""
    here = f"{NAME}/{name}".split("/")[:-1]
    found = set[str]()
    for node in tree.body:
        if not isinstance(node, ast.ImportFrom):
            continue
        parents = here[: len(here) - node.level + 1] if node.level else []
        path = "/".join([*parents, *(node.module or "").split(".")]).rstrip("/")
        for alias in node.names:
            layer = f"{path}/{alias.name}".removeprefix(f"{NAME}/")
            found.add(layer if layer in LAYERS else path.removeprefix(f"{NAME}/"))
    packages = {layer.removesuffix("/__init__"): layer for layer in LAYERS}
    ours = {NAME, "testing", *LAYERS, *packages}
    return {"__init__" if layer == NAME else packages.get(layer, layer) for layer in found & ours}


def test_layers() -> None:
    """A module imports only modules above it."""
    trees = {
        name: tree
        for name, tree in modules().items()
        if name.split("/")[0] not in {"contrib", "testing"}
    }
    assert sorted(LAYERS) == sorted(trees)
    for position, name in enumerate(LAYERS):
        above = {*LAYERS[:position], "testing"}
        assert layers_imported(name, trees[name]) <= above, name


def test_testing_is_independent() -> None:
    """The emulator shares nothing with the client but URN."""
    for name, tree in modules().items():
        if name.startswith("testing/"):
            from_package = {
                node.module
                for node in ast.walk(tree)
                if isinstance(node, ast.ImportFrom)
                and (node.module or "").startswith("digitalocean_projects")
            }
            assert from_package <= {"digitalocean_projects._codec.urn"}, name


@pytest.mark.parametrize("package", FOREIGN)
def test_foreign_packages(package: str) -> None:
    """Each foreign package is touched in one place."""
    users = {name for name, tree in modules().items() if package in imported(tree)}
    assert FOREIGN[package] == users


def test_public_names() -> None:
    """`__all__` is what type checkers see, and each of its names is there."""
    tree = modules()["__init__"]
    seen = {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.level
        for alias in node.names
    }
    assert seen == set(digitalocean_projects.__all__)
    assert all(hasattr(digitalocean_projects, name) for name in seen)
    assert seen <= set(dir(digitalocean_projects))


def test_public_types_are_tested() -> None:
    """What type checkers are shown uses each public name, and each operation on both sides."""
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


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("import digitalocean_projects", set[str]()),
        ("from digitalocean_projects import URN, Resource, Page, RateLimit", set[str]()),
        ("from digitalocean_projects import NotFoundError", set[str]()),
        ("from digitalocean_projects import AsyncClient", {"aiohttp", "cattrs"}),
        ("from digitalocean_projects import Client", {"aiohttp", "anyio", "cattrs"}),
    ],
)
def test_import_is_lazy(statement: str, expected: set[str]) -> None:
    """A program loads what it uses, and nothing of the rest."""
    code = f"{statement}\nimport sys; print(*{{'aiohttp', 'anyio', 'cattrs'}} & {{*sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert expected == set(done.stdout.split())


@pytest.mark.parametrize("name", sorted(set(LAYERS) - {"_facade/sync"}))
def test_modules_are_small(name: str) -> None:
    """A module that is written by hand fits into a reader's head."""
    assert len((PACKAGE / f"{name}.py").read_text("utf-8").splitlines()) <= LONGER.get(name, 400)
