"""URN: the name of a DigitalOcean resource."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol, Self
from uuid import UUID

import attrs

from digitalocean_projects._messages import holds_token, quoted

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pydantic import GetCoreSchemaHandler
    from pydantic_core import CoreSchema


class ResourceType(StrEnum):
    """The resource types that the API documents; a `URN` takes any other one, too.

    https://docs.digitalocean.com/reference/api/reference/project-resources/
    """

    APP = "app"
    DATABASE = "dbaas"
    DOMAIN = "domain"
    DROPLET = "droplet"
    FLOATING_IP = "floatingip"
    KUBERNETES = "kubernetes"
    LOAD_BALANCER = "loadbalancer"
    SPACE = "space"
    VOLUME = "volume"


# Every repetition that is followed by another one is possessive: it keeps what it took, so there is
# one way to match a text, which takes linear time whether it matches or not. Printable ASCII, of
# which most ids consist, stands first, since its test is the faster one.
TYPE_PATTERN = r"[a-z][a-z0-9_-]*"
_NO_TEXT = r"\x00-\x1f\x7f-\x9f\ud800-\udfff"
# Not empty; no white space, quote, control character or lone surrogate.
_ID = rf"(?=.)[!#-&(-~]*+[^\s\"'{_NO_TEXT}]*+"
_is_type = re.compile(TYPE_PATTERN).fullmatch
_is_id = re.compile(_ID).fullmatch
_is_urn = re.compile(f"do:{TYPE_PATTERN}:{_ID}").fullmatch

LISTED_TYPE_PATTERN = "[A-Za-z0-9._-]+"
# The API may list any id, so only control characters and lone surrogates are refused.
_LISTED = f"do:{LISTED_TYPE_PATTERN}+:[ -~]*+[^{_NO_TEXT}]*+"
_is_listed = re.compile(_LISTED).fullmatch
_are_listed = re.compile(f"(?:{_LISTED}\n)*+").fullmatch

# The API accepts both names of each pair for one resource and lists it under the second.
_LISTED_AS = {"reservedip": "floatingip", "reservedipv6": "floatingipv6"}


def _type_text(value: str) -> str:
    if not isinstance(value, str):
        raise TypeError(f"a resource type is a string, not {type(value).__name__}")
    # Of an enum's member that is a string, too, the value.
    text = str.__str__(value)
    if not _is_type(text):
        raise ValueError(f"not a resource type: {quoted(text)} (lower case, like 'droplet')")
    return text


def _id_text(value: str | int | UUID) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | UUID):
        raise TypeError(f"a resource id is a string, int or UUID, not {type(value).__name__}")
    text = str.__str__(value) if isinstance(value, str) else str(value)
    if not _is_id(text):
        raise ValueError(
            f"not a resource id: {quoted(text)} (empty, or holds white space or quotes)"
        )
    _refuse_token(text)
    return text


@attrs.frozen(order=True)
class URN:
    """The uniform resource name `do:type:id` of a resource.

    A value: hashable, ordered by type and then by id as text. `str()` returns the text.

    The `urn` of a listed resource is kept as the API sent it. Its type may hold capitals, dots and
    leading digits, and its id may be empty or hold spaces and quotes.

    Args:
        type: Any lower-case resource type; `ResourceType` holds the documented ones.
        id: The resource's id, which may itself hold colons (an IPv6 address).

    Raises:
        TypeError: A part is of another type than annotated.
        ValueError: A part is not allowed in a URN.
    """

    type: str = attrs.field(converter=_type_text)
    id: str = attrs.field(converter=_id_text)

    def __str__(self) -> str:
        return f"do:{self.type}:{self.id}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the URN that `text` spells.

        Raises:
            TypeError: `text` is not a string.
            ValueError: `text` is not of the form `do:type:id`.
        """
        return cls._of_checked(checked_urn_text(text))

    @classmethod
    def _of_checked(cls, text: str) -> Self:
        _, resource_type, resource_id = text.split(":", 2)
        urn = cls.__new__(cls)
        _set_type(urn, resource_type)
        _set_id(urn, resource_id)
        return urn

    @classmethod
    def of(cls, value: URNLike) -> URN:
        """The URN of a URN, of its text, or of any object that has a `urn` attribute.

        Raises:
            TypeError: `value` is none of these.
            ValueError: The text is not of the form `do:type:id`.
        """
        if isinstance(value, URN):
            return value
        if isinstance(value, str):
            return cls.parse(value)
        try:
            urn = value.urn
        except AttributeError:
            urn = None
        if not isinstance(urn, URN | str):
            raise TypeError(f"neither a URN nor anything with one: {type(value).__name__}")
        return cls.of(urn)

    @property
    def canonical(self) -> URN:
        """The URN under which the API lists this resource.

        `reservedip` and `floatingip` name the same address, `reservedipv6` and `floatingipv6`
        too: two URNs name one resource if their canonical forms are equal.
        """
        listed_as = _LISTED_AS.get(self.type)
        return self if listed_as is None else URN._of_checked(f"do:{listed_as}:{self.id}")

    @classmethod
    def __get_pydantic_core_schema__(cls, _: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        from .pydantic import urn_schema  # noqa: PLC0415 - only users of pydantic need it

        return urn_schema()


# A frozen class has no other way in than its own, with all the checks.
_set_type, _set_id = (getattr(URN, name).__set__ for name in ("type", "id"))


class HasURN(Protocol):
    """Anything with a `urn`, such as a `Resource` or an object of yours."""

    @property
    def urn(self) -> URN | str:
        """The resource's name."""


URNLike = URN | str | HasURN
"""What the package takes where it wants a URN."""


def checked_urn_text(text: str) -> str:
    """Return the text of a URN that a user passes.

    Raises:
        TypeError: `text` is not a string.
        ValueError: `text` is not of the form `do:type:id`.
    """
    if not isinstance(text, str):
        raise TypeError(f"a URN must be a string, got {type(text).__name__}")
    if not _is_urn(text):
        raise ValueError(f"not a URN of the form do:type:id: {quoted(text)}")
    _refuse_token(text)
    return str.__str__(text)


def _refuse_token(text: str) -> None:
    """Refuse what would be sent and printed. A bare number of 64 digits may be a resource's id."""
    if "_v1_" in text and holds_token(text):
        raise ValueError("a URN must not contain an API token")


def listed_urn_text(text: str) -> str:
    """Return the text of a URN that the API sends, which may be any `do:TYPE:REST`.

    Raises:
        TypeError: `text` is not a string.
        ValueError: `text` is not of that form, or holds a control character or a lone surrogate.
    """
    if not isinstance(text, str):
        raise TypeError(f"a URN must be a string, got {type(text).__name__}")
    if not _is_listed(text):
        raise ValueError(f"not a URN of the form do:type:id: {quoted(text)}")
    return str.__str__(text)


def are_listed_urn_texts(texts: list[str]) -> bool:
    """Return whether `listed_urn_text` accepts each text, at a fraction of its cost.

    Raises:
        TypeError: A text is not a string.
    """
    lines = "\n".join([*texts, ""])
    return lines.count("\n") == len(texts) and _are_listed(lines) is not None


def distinct_urns(resources: Iterable[URNLike]) -> list[URN]:
    """The URNs of the resources; of those that name one resource, the first.

    Raises:
        TypeError: One is neither a URN nor anything with one, or there is only one.
        ValueError: One is malformed; the message names it and its position.
    """
    if isinstance(resources, str):
        raise TypeError("resources is several: put a single one into a list")
    urns: dict[URN, URN] = {}
    for position, resource in enumerate(resources):
        try:
            urn = URN.of(resource)
        except TypeError as error:
            raise TypeError(f"resources[{position}]: {error}") from None
        except ValueError as error:
            raise ValueError(f"resources[{position}]: {error}") from None
        urns.setdefault(urn.canonical, urn)
    return list(urns.values())
