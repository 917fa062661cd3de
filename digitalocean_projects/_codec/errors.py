"""SafeError: an exception that shows no token, and that pickle and JSON can transport."""

from __future__ import annotations

import copyreg
from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from typing import Any, TypeVar, cast, get_type_hints

from digitalocean_projects._messages import redacted

F = TypeVar("F", bound=Callable[..., None])


def rebuildable(init: F) -> F:
    """Make an `__init__` also accept the two values of `SafeError.args`."""

    @wraps(init)
    def init_or_rebuild(self: SafeError, *arguments: Any, **members: Any) -> None:
        match arguments:
            case (str(text), dict(state)):
                self.rebuild(text, state)
            case _:
                init(self, *arguments, **members)

    return cast("F", init_or_rebuild)


class SafeError(Exception):
    """An exception that shows no token, and that pickle and JSON can transport."""

    in_doubt: bool = True

    @rebuildable
    def __init__(self, *arguments: object) -> None:
        # Here for all classes, since a user may pass a token in place of any argument.
        super().__init__(*(redacted(one) if isinstance(one, str) else one for one in arguments))

    def __str__(self) -> str:
        attempts = getattr(self, "attempts", 1)
        return f"{super().__str__()}{f', after {attempts} attempts' if attempts > 1 else ''}"

    @property
    def args(self) -> tuple[Any, ...]:
        """The text, and a dict of the attributes as JSON types.

        `type(error)(*error.args)` rebuilds the error, as Celery's result backends for JSON do.
        """
        from .structure import unstructure  # noqa: PLC0415 - it loads cattrs

        known = _types(type(self))
        state = {name: value for name, value in vars(self).items() if name in known}
        text: tuple[Any, ...] = _args.__get__(self)
        return (*text, _without_tokens(unstructure(state))) if state else text

    @args.setter
    def args(self, arguments: tuple[Any, ...]) -> None:
        _args.__set__(self, arguments[:1])

    def rebuild(self, text: str, state: dict[str, Any]) -> None:
        """Set the text and the attributes."""
        from .structure import converter  # noqa: PLC0415 - it loads cattrs

        super().__init__(redacted(text))
        types = _types(type(self))
        for name in types.keys() & state.keys():
            setattr(self, name, converter().structure(state[name], types[name]))

    def __reduce__(self) -> tuple[Any, ...]:
        return copyreg.__newobj__, (type(self), *_args.__get__(self)), self.__dict__  # type: ignore[attr-defined]  # typeshed lacks it


def _types(cls: type) -> dict[str, Any]:
    """Return the types of the attributes that are stored, each by its name.

    The annotations of a user's subclass may only be there for type checkers.
    """
    types: dict[str, Any] = {"__notes__": list[str]}
    for base in reversed(cls.__mro__):
        with suppress(NameError, AttributeError, TypeError, SyntaxError):
            types |= get_type_hints(base)
    return types


def _without_tokens(value: Any) -> Any:
    """Return JSON types with `***` for the tokens that a server may have sent back."""
    if isinstance(value, str):
        return redacted(value)
    if isinstance(value, list):
        return [_without_tokens(each) for each in value]
    if isinstance(value, dict):
        return {name: _without_tokens(each) for name, each in value.items()}
    return value


# The slot behind `args` of all exceptions. Python prints its values, so it holds only the text.
_args: Any = vars(BaseException)["args"]
