"""Token: the scopes of a bearer token, and checks of both."""

from __future__ import annotations

import re
from collections.abc import Iterable

import attrs

_is_token = re.compile("[!-~]+").fullmatch
_is_scope = re.compile("[!-9;-~]+:[!-9;-~]+").fullmatch


@attrs.frozen
class Token:
    """A bearer token's scopes; None allows everything.

    `api:read` stands for every scope that reads, and `api:write` for every scope.
    """

    scopes: frozenset[str] | None

    def allows(self, *scopes: str) -> bool:
        """Return True if the token has one of these scopes."""
        if self.scopes is None or "api:write" in self.scopes:
            return True
        reads = any(scope.endswith(":read") for scope in scopes)
        return not self.scopes.isdisjoint(scopes) or (reads and "api:read" in self.scopes)


def checked_scopes(scopes: Iterable[str]) -> frozenset[str]:
    """Return the scopes as a set.

    Raises:
        TypeError: They are a single string.
        ValueError: A scope is not of the form `resource:action`, in printable ASCII.
    """
    if isinstance(scopes, str):
        raise TypeError(f"scopes must be a collection of strings, got {scopes!r}")
    scopes = frozenset(scopes)
    for scope in scopes:
        if not _is_scope(scope):
            raise ValueError(f"a scope must have the form 'droplet:read', got {scope!r}")
    return scopes


def check_token(token: str) -> None:
    """Check that a token can be sent in a header.

    Raises:
        ValueError: It is empty, or it contains a space or a character beyond ASCII.
    """
    if not _is_token(token):
        raise ValueError("token must be printable ASCII without spaces, and not empty")
