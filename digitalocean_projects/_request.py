"""Request: what is asked of the API."""

from __future__ import annotations

import attrs

from ._secret import redacted

_LONGEST = 500


def one_line(text: str, secret: str = "") -> str:
    """Return `text` on one line and cut; with a secret, also without that and all tokens."""
    if secret:
        text = redacted(text, secret)
    text = "".join(c if c.isprintable() else " " for c in text[: 2 * _LONGEST])
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


@attrs.frozen(kw_only=True)
class Request:
    """What an exception says of the request that it is about.

    Args:
        method: Upper case.
        path: With the query.
        scopes: What a token needs for it.
        idempotent: Whether to do it twice is the same as to do it once.
    """

    method: str
    path: str
    scopes: tuple[str, ...] = ()
    idempotent: bool = True

    def __str__(self) -> str:
        return f"{self.method} {self.path}"
