"""Call: a request on its way through an operation."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, TypeVar

import attrs

from ._answer import RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from digitalocean_projects._codec.urn import URN

    from ._account import Account, StoredProject, Token
    from ._recording import RecordedRequest

T = TypeVar("T")


@attrs.frozen(kw_only=True)
class Call:
    """What an operation is about; every method may refuse the request.

    Attributes:
        account: What it is done to.
        origin: Where the API is, for the links in answers.
        request: What was asked.
        token: Who asks.
        status_of: The resources to which it gives a status are left alone by an assignment.
    """

    account: Account
    origin: str
    request: RecordedRequest
    token: Token
    status_of: Callable[[URN], str | None]

    def need(self, *scopes: str) -> None:
        """Refuse a token that has none of these scopes."""
        if not self.token.allows(*scopes):
            raise RefusedError(403)

    def project(self, project_id: str) -> StoredProject:
        """The project that the path names."""
        project = self.account.project(project_id)
        if project is None:
            raise RefusedError(404)
        return project

    def document(self) -> Any:
        """The JSON of the body."""
        try:
            return json.loads(self.request.body)
        except (ValueError, RecursionError):
            raise RefusedError(400, "the request body is not valid JSON") from None

    def page(self, path: str, listing: Sequence[T]) -> tuple[Sequence[T], dict[str, Any]]:
        """The page of the listing at `path` that the query asks for, and the members that say so.

        `first` and `last` are on every page, `next` and `prev` only where there is such a page.
        """
        page = self._number("page", 1, 10**18)
        per_page = self._number("per_page", 20, 200)
        last = max(1, -(-len(listing) // per_page))
        numbers = {"first": 1, "prev": page - 1, "next": page + 1, "last": last}
        links = {
            name: f"{self.origin}{path}?page={number}&per_page={per_page}"
            for name, number in numbers.items()
            if 1 <= number <= last
        }
        members = {"links": {"pages": links}, "meta": {"total": len(listing)}}
        return listing[(page - 1) * per_page : page * per_page], members

    def _number(self, name: str, default: int, most: int) -> int:
        """The query's parameter `name`, which is between 1 and `most`."""
        text = self.request.query.get(name, str(default))
        if not re.fullmatch("[0-9]{1,18}", text) or not 1 <= int(text) <= most:
            raise RefusedError(400, f"{name} must be a number between 1 and {most}")
        return int(text)
