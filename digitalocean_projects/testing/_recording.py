"""RecordedRequest: what the emulator was asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from collections.abc import Mapping


@attrs.frozen(kw_only=True)
class RecordedRequest:
    """One request, as it came over the socket.

    Its `repr` leaves out the headers, since they hold the token.

    Attributes:
        method: Upper case, such as `GET`.
        path: As sent, still percent-encoded, without the query.
        query: The decoded query; of a repeated name, the first value.
        headers: A mapping whose names ignore case; of a repeated name, the first value.
        body: The bytes of the body.
    """

    method: str
    path: str
    query: dict[str, str]
    headers: Mapping[str, str] = attrs.field(repr=False)
    body: bytes
