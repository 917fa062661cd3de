"""Public: makes public classes and functions report the public package, and explain a misuse."""

from __future__ import annotations

import sys
from types import FunctionType

TYPE_CHECKING = False  # typing loads in 4 ms
if TYPE_CHECKING:
    from typing import Any

PACKAGE = "digitalocean_projects"


def publish(namespace: dict[str, Any], package: str = PACKAGE) -> None:
    """Make the public classes and functions of a module report the public package as their module.

    A class's annotations are resolved first, since `typing.get_type_hints` looks up their names in
    the module that the class reports. A function keeps its own globals for that.

    Args:
        namespace: The globals of the module, or of the package itself, at its end.
        package: The package whose `__all__` lists the public names.
    """
    for name in sys.modules[package].__all__:
        value = namespace.get(name)
        if not isinstance(value, type | FunctionType):
            continue
        if isinstance(value, type):
            home = vars(sys.modules[value.__module__])
            # `typing.get_type_hints` would take 5.4 ms instead of 1.6 for all public classes.
            value.__annotations__ = {
                each: eval(hint, home) if isinstance(hint, str) else hint  # noqa: S307 - our own
                for each, hint in value.__annotations__.items()
            }
        module, value.__module__ = value.__module__, package
        if isinstance(value, type):
            for function in map(_function, vars(value).values()):
                # Other packages share their functions between classes.
                if isinstance(function, FunctionType) and function.__module__ == module:
                    function.__module__ = package


def _function(member: Any) -> Any:
    """Return the function of a property or class method, or the member itself."""
    return getattr(member, "fget", None) or getattr(member, "__func__", member)


def explain_misuse(cls: type, reason: str, *methods: str) -> None:
    """Make special methods of a class raise a `TypeError` that says what to write instead.

    They are set here, and not in the class, so that type checkers refuse such a use, too. But
    `isinstance` then takes an instance for an `Iterable` or an `Awaitable`. So this is used for
    asynchronous listings only: a library that reads both kinds looks for an `AsyncIterable` first,
    which they are. It would take a blocking listing with an `__aiter__` for one, too.
    """

    def refuse(_: object) -> None:
        raise TypeError(reason)

    for name in methods:
        setattr(cls, name, refuse)
