"""Described: a request and a response, as messages and the log describe them."""

from __future__ import annotations

from collections.abc import Sequence

import attrs


# Without slots, attrs makes an instance of a frozen class in 0.7 µs instead of 3.7, since it sets
# the attributes in `__dict__`. This and other classes have an instance for each request.
# Internal classes have only the methods that are used: `__eq__`, `__hash__` and `__repr__`, which
# attrs compiles, are half of the time that it takes to make a class, 0.2 ms.
@attrs.frozen(kw_only=True, slots=False)
class Request:
    """A request, as the messages of exceptions and the log describe it.

    Args:
        method: The method in upper case.
        path: The path below the base URL, with the query.
        prefix: The path of the base URL, such as that of a gateway.
        scopes: The scopes that a token needs for the request.
        urns: The resources in the body, whose types add to the scopes and explain a refusal.
        idempotent: True if a repetition of the request changes nothing.
    """

    method: str
    path: str
    prefix: str = ""
    scopes: tuple[str, ...] = ()
    urns: Sequence[str] = attrs.field(default=(), repr=False, eq=False)
    idempotent: bool = True

    @property
    def target(self) -> str:
        """The whole path with the query, as the server receives it."""
        return f"{self.prefix}{self.path}"

    def __str__(self) -> str:
        return f"{self.method} {self.target}"


def status_text(status: int, id: str, message: str) -> str:  # noqa: A002 - the API's word
    """Return the text of a response with another status than 2xx, on one line."""
    return f"{f'{status} {id}'.rstrip()}{message and f': {message}'}"
