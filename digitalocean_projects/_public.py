"""Public: what makes a class of a private module one of the public package."""

from __future__ import annotations

import sys
from inspect import get_annotations
from typing import Any, get_type_hints


def publish(namespace: dict[str, Any], package: str = "digitalocean_projects") -> None:
    """Give the public classes of a module the package as their module, for tracebacks and pickles.

    A class's annotations are resolved first, since `typing.get_type_hints` looks up their names in
    the module that the class reports.

    Args:
        namespace: The module's globals, at its end.
        package: The package whose `__all__` names the public classes.
    """
    for name in sys.modules[package].__all__:
        value = namespace.get(name)
        if isinstance(value, type) and value.__module__ == namespace["__name__"]:
            own = get_annotations(value)
            hints = get_type_hints(value, include_extras=True)
            value.__annotations__ = {each: hints[each] for each in own}
            value.__module__ = package
