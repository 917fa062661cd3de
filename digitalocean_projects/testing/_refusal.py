"""RefusedError: why a request gets an error document."""

from __future__ import annotations

from http.client import responses

import attrs

_IDS = {
    401: "Unauthorized",
    413: "request_entity_too_large",
    422: "unprocessable_entity",
    429: "too_many_requests",
    500: "server_error",
}
_MESSAGES = {
    401: "Unable to authenticate you",
    403: "You are not authorized to perform this operation",
    404: "The resource you requested could not be found.",
    429: "API Rate limit exceeded.",
    500: "Unexpected server-side error",
}


def _phrase(status: int) -> str:
    return responses.get(status, "error")


@attrs.define(eq=False)
class RefusedError(Exception):
    """The request gets an error document of this status, with the message that goes with it."""

    status: int
    message: str = attrs.field()
    headers: dict[str, str] = attrs.field(factory=dict)

    @message.default
    def _message(self) -> str:
        return _MESSAGES.get(self.status) or _phrase(self.status)

    @property
    def id(self) -> str:
        """The document's `id`."""
        return _IDS.get(self.status) or _phrase(self.status).lower().replace(" ", "_")
