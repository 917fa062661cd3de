"""Render the docstrings of all public names into a folder, as HTML.

A name without a docstring is an error, and so is each warning if Python runs with `-W error`.
"""

from __future__ import annotations

import inspect
import sys
import warnings
from importlib import import_module
from itertools import chain
from pathlib import Path
from pkgutil import walk_packages
from typing import TYPE_CHECKING

import pdoc.render
from pdoc.doc import Module

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FunctionType

NAME = "digitalocean_projects"
PUBLIC = [
    NAME,
    f"{NAME}.testing",
    f"{NAME}.testing.faults",
    f"{NAME}.contrib",
    f"{NAME}.contrib.fastapi",
    f"{NAME}.contrib.mcp",
    f"{NAME}.contrib.pytest",
    f"{NAME}.contrib.redis",
]


def values() -> Iterator[tuple[str, str]]:
    """Yield the names and docstrings of values, which pdoc finds only in the defining module."""
    for module in walk_packages(import_module(NAME).__path__, f"{NAME}."):
        if not module.name.endswith("__main__"):
            yield from Module(import_module(module.name))._var_docstrings.items()  # noqa: SLF001 - the only way


def functions(value: object) -> Iterator[FunctionType]:
    """Yield a function itself, or the functions of a class, its methods and properties."""
    members = vars(value).values() if inspect.isclass(value) else [value]
    for member in members:
        function = getattr(member, "fget", None) or getattr(member, "__func__", member)
        if inspect.isfunction(function):
            yield function


def unwrap(value: object) -> None:
    """Replace the wrappers in a class by their functions, whose globals have the annotations."""
    if inspect.isclass(value):
        for name, member in list(vars(value).items()):
            if inspect.isfunction(member) and hasattr(member, "__wrapped__"):
                setattr(value, name, inspect.unwrap(member))


def described(name: str, docstrings: dict[str, str]) -> Module:
    """Return a public module whose public names all have docstrings."""
    module = import_module(name)
    # This loads the names that are imported lazily, too. pdoc doesn't.
    values = {each: getattr(module, each) for each in getattr(module, "__all__", [])}
    for value in values.values():
        unwrap(value)
    for function in chain.from_iterable(map(functions, values.values())):
        # pdoc resolves annotations in the module that a function reports.
        function.__module__ = function.__globals__["__name__"]
    page = Module(module)
    for each, value in values.items():
        if inspect.ismodule(value):
            continue
        member = page.members[each]
        if not member.docstring:
            # A fixture of pytest is an object that wraps its function.
            wrapped = getattr(value, "__wrapped__", None)
            member.docstring = inspect.getdoc(wrapped) or docstrings.get(each, "")
        if not member.docstring:
            raise LookupError(f"{name}.{each} must have a docstring")
    return page


def main(folder: Path) -> None:
    """Write a page for each public module, an index and a search index."""
    pdoc.render.configure(docformat="google")
    # A public class reports the public module, which pdoc shows, but whose source doesn't hold it.
    warnings.filterwarnings("ignore", "Cannot determine where .* is taken from")
    docstrings = dict(values())
    pages = {name: described(name, docstrings) for name in PUBLIC}
    for name, page in pages.items():
        # pdoc links only the submodules in `__all__`.
        page.submodules = [pages[each] for each in PUBLIC if each.rpartition(".")[0] == name]
    texts = {
        f"{name.replace('.', '/')}.html": pdoc.render.html_module(page, pages)
        for name, page in pages.items()
    }
    texts["index.html"] = pdoc.render.html_index(pages)
    texts["search.js"] = pdoc.render.search_index(pages)
    for path, text in texts.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, "utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
