"""Call: a request to an operation of the API, and what the operation may use."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlencode

import attrs

from ._answer import RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from digitalocean_projects._codec.urn import URN

    from ._account import Account
    from ._project import StoredProject
    from ._recording import RecordedRequest
    from ._token import Token

T = TypeVar("T")


_MOST_PER_PAGE = 200
# More digits than these cost time, and no listing has that many pages.
_MOST_DIGITS = 18
_NO_LINKS: tuple[dict[str, Any], ...] = (
    {},
    {"links": None},
    {"links": {}},
    {"links": {"pages": {}}},
)

RESOURCE_TYPES: frozenset[str] = frozenset(
    {
        *("app", "dbaas", "domain", "droplet", "firewall", "floatingip", "floatingipv6", "image"),
        *("kubernetes", "loadbalancer", "nat_gateway", "reservedip", "reservedipv6", "space"),
        *("volume", "volumesnapshot"),
    }
)
"""The resource types that an assignment accepts by default, as `Emulator.resource_types`."""


def checked_types(types: Iterable[str]) -> frozenset[str]:
    """Return the types as a set.

    Raises:
        TypeError: They are a single string.
    """
    if isinstance(types, str):
        raise TypeError(f"resource_types must be a collection of strings, got {types!r}")
    return frozenset(types)


@attrs.frozen(kw_only=True)
class Rules:
    """The behavior of the API that a user of the emulator can choose.

    Attributes:
        resource_types: The types of the resources that an assignment accepts.
        sparse: True if listings leave out what the API leaves out at times.
        busy_time: The seconds during which a project refuses assignments after a move.
    """

    resource_types: frozenset[str]
    sparse: bool
    busy_time: float


@attrs.frozen(kw_only=True)
class Call:
    """A call of an operation. Each method may raise `RefusedError`.

    Attributes:
        account: The account to read and change.
        rules: The behavior that the user of the emulator has chosen.
        origin: The base URL, for the links in answers.
        request: The request.
        token: The token of the request.
        status_of: A function that returns the status of a resource that an assignment must not
            move, or None.
    """

    account: Account
    rules: Rules
    origin: str
    request: RecordedRequest
    token: Token
    status_of: Callable[[URN], str | None]

    def need(self, *scopes: str) -> None:
        """Raise a refusal if the token has none of these scopes."""
        if not self.token.allows(*scopes):
            raise RefusedError(403)

    def project(self, project_id: str) -> StoredProject:
        """Return the project that the path names."""
        project = self.account.project(project_id)
        if project is None:
            raise RefusedError(404)
        return project

    def document(self) -> Any:
        """Return the body as JSON."""
        try:
            return json.loads(self.request.body)
        except (ValueError, RecursionError):
            raise RefusedError(400, "the request body is not valid JSON") from None

    def page(
        self, path: str, listing: Sequence[T], query: Mapping[str, str] | None = None
    ) -> tuple[Sequence[T], dict[str, Any]]:
        """Return the page that the query names, and the members `links` and `meta`.

        Every page has links to `first` and `last`, and to `next` and `prev` if these exist. If the
        rules are sparse, a listing of one page has no links, in one of four ways.

        Args:
            path: The path of the listing.
            listing: The whole listing.
            query: The other parameters of the query, which the links repeat.
        """
        page = self._number("page", 1)
        per_page = self._number("per_page", 20)
        if per_page > _MOST_PER_PAGE:
            raise RefusedError(400, f"per_page must be between 1 and {_MOST_PER_PAGE}")
        last = max(1, -(-len(listing) // per_page))
        numbers = {"first": 1, "prev": page - 1, "next": page + 1, "last": last}
        rest = f"&{urlencode(query)}" if query else ""
        links = {
            name: f"{self.origin}{path}?page={number}&per_page={per_page}{rest}"
            for name, number in numbers.items()
            if 1 <= number <= last
        }
        members: dict[str, Any] = {"links": {"pages": links}, "meta": {"total": len(listing)}}
        if self.rules.sparse and last == 1:
            del members["links"]
            members |= _NO_LINKS[len(listing) % len(_NO_LINKS)]
        return listing[(page - 1) * per_page : page * per_page], members

    def _number(self, name: str, default: int) -> int:
        """Return the query's parameter `name`, which must be a positive number.

        Any number of more than 18 digits counts as the same one.
        """
        text = self.request.query.get(name, str(default))
        digits = re.fullmatch("0*([0-9]+)", text)
        if digits is None or digits[1] == "0":
            raise RefusedError(400, f"{name} must be a number of at least 1")
        return int(digits[1][:_MOST_DIGITS])
