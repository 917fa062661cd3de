"""URN: the name of a DigitalOcean resource."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from enum import StrEnum
from functools import partial
from ipaddress import ip_address
from typing import Any, Protocol, Self, TypeAlias
from uuid import UUID

from digitalocean_projects._messages import holds_token, quoted
from digitalocean_projects._public import publish


class ResourceType(StrEnum):
    """The resource types that the API documents or was seen to accept; a `URN` takes any type.

    https://docs.digitalocean.com/reference/api/reference/project-resources/
    """

    APP = "app"
    DATABASE = "dbaas"
    DOMAIN = "domain"
    DROPLET = "droplet"
    FIREWALL = "firewall"
    FLOATING_IP = "floatingip"
    IMAGE = "image"
    KUBERNETES = "kubernetes"
    LOAD_BALANCER = "loadbalancer"
    NAT_GATEWAY = "nat_gateway"
    SPACE = "space"
    VOLUME = "volume"
    VOLUME_SNAPSHOT = "volumesnapshot"


# Names that users write for types, and the types that the API accepts. Types are an open list, so
# such a name is sent, too.
_SPELLINGS = {
    "apps": "app",
    "block_storage": "volume",
    "block_storage_snapshot": "volumesnapshot",
    "bucket": "space",
    "cluster": "kubernetes",
    "database": "dbaas",
    "databases": "dbaas",
    "domains": "domain",
    "droplets": "droplet",
    "floating_ip": "floatingip",
    "k8s": "kubernetes",
    "kubernetes_cluster": "kubernetes",
    "load-balancer": "loadbalancer",
    "load_balancer": "loadbalancer",
    "loadbalancers": "loadbalancer",
    "natgateway": "nat_gateway",
    "reserved_ip": "floatingip",
    "spaces": "space",
    "volumes": "volume",
    "vpc_nat_gateway": "nat_gateway",
}
_NEVER_ASSIGNED = ("registry", "vpc")


# Every repetition that is followed by another one is possessive: it keeps what it took, so there is
# one way to match a text, which takes linear time whether it matches or not. The first class in
# `_ID` has the usual characters of an id, since it is faster to test than the second one.
TYPE_PATTERN = r"[a-z][a-z0-9_-]*"
_NO_TEXT = r"\x00-\x1f\x7f-\x9f\ud800-\udfff"
# The characters of lists, quotes, wildcards and templates, which no id has.
_REFUSED = r"\s\"'`,;|*\\<>{}\[\]$%…\u200b\u2060\ufeff"
_ID = rf"(?=.)[A-Za-z0-9.:_-]*+[^{_REFUSED}{_NO_TEXT}]*+"
_is_type = re.compile(TYPE_PATTERN).fullmatch
_is_id = re.compile(_ID).fullmatch
_is_urn = re.compile(f"do:{TYPE_PATTERN}:{_ID}").fullmatch

LISTED_TYPE_PATTERN = "[A-Za-z0-9._-]+"
# The API may list any id, so only control characters and lone surrogates are refused.
LISTED_PATTERN = f"do:{LISTED_TYPE_PATTERN}+:[ -~]*+[^{_NO_TEXT}]*+"
_is_listed = re.compile(LISTED_PATTERN).fullmatch

# Mistakes of users, which the characters alone don't show.
_holds_another = re.compile(r".\bdo:").search
_holds_placeholder = re.compile(
    r"[<>{}\[\]$%…]|\.\.\.|:(?:None|null|undefined|nan|NaN|NaT)\Z"
).search
_holds_float = re.compile(r"do:droplet:[0-9]++(?:\.[0-9]*+(?:e\+?[0-9]++)?|e\+?[0-9]++)\Z").match
_AROUND = " \t\r\n\"'`,;\u200b\u2060\ufeff"
_UUID = "[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}"
_NUMBER_OR_UUID = f"[0-9]+|{_UUID}"
_ESCAPE = f"[{_NO_TEXT}]|%[0-9A-Fa-f]{{2}}"

# The API accepts both names of each pair for one resource and lists it under the second.
_LISTED_AS = {"reservedip": "floatingip", "reservedipv6": "floatingipv6"}
ADDRESSES = ("do:floatingip", "do:reservedip")
_KNOWN_TYPES = {*ResourceType, *_SPELLINGS, *_LISTED_AS, *_LISTED_AS.values()}
_is_uuid = re.compile(_UUID).fullmatch


def _type_text(value: str) -> str:
    if not isinstance(value, str):
        raise TypeError(f"type must be a string, got {type(value).__name__}")
    # `str()` of an enum's member may be its name.
    text = str.__str__(value)
    if not _is_type(text):
        hint = "; pass a whole URN to URN.parse()" if text.startswith("do:") else ""
        raise ValueError(
            "type must be a resource type in lower case, such as 'droplet', "
            f"got {quoted(text)}{hint}"
        )
    return text


# Longer ints take long to convert, and Python refuses to convert those of 4,300 digits.
_MOST_BITS = 1024


def _id_text(value: str | int | UUID, type_text: str) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | UUID):
        raise TypeError(f"id must be a string, int or UUID, got {type(value).__name__}")
    if isinstance(value, int) and value.bit_length() > _MOST_BITS:
        raise ValueError(
            f"id must be an int of at most {_MOST_BITS} bits, got {value.bit_length()}"
        )
    text = str.__str__(value) if isinstance(value, str) else str(value)
    if _holds_another(f":{text}"):
        raise ValueError(
            f"id must not contain 'do:', got {quoted(text)}; pass a whole URN to URN.parse()"
        )
    whole = f"do:{type_text}:{text}"
    if not _is_id(text) or _holds_placeholder(whole) or _holds_float(whole):
        hint = _hint(whole) if text else ""
        raise ValueError(f"id must be the id of a resource, got {quoted(text)}{hint}")
    _refuse_token(text)
    return text


def _hint(text: str) -> str:
    """Return advice for the likely mistake in a text that is refused."""
    found_type = text.removeprefix("do:").partition(":")[0]
    hint = type_hint(found_type)
    return f"{_mistake(text, found_type)}{hint and f'; {hint}'}"


def _mistake(text: str, found_type: str) -> str:
    for is_made, advice in _MISTAKES:
        if is_made(text):
            return advice
    if not text.startswith("do:"):
        return ""
    for name, part in (("the type", found_type), ("an id", text)):
        if found := re.search(f"[{_REFUSED}{_NO_TEXT}]", part):
            return f"; {name} must not contain {found[0]!r}"
    return ""


def _is_surrounded(text: str) -> bool:
    inner = text.strip(_AROUND)
    return inner != text and _is_urn(inner) is not None


def _has_capitals(text: str) -> bool:
    return _is_urn(text.lower()) is not None


def _is_placeholder(text: str) -> bool:
    """Return False for a placeholder's characters in an escape of a terminal or of a URL."""
    return _holds_placeholder(text) is not None and re.search(_ESCAPE, text) is None


def _lacks_scheme(text: str) -> bool:
    return text.partition(":")[0] in _KNOWN_TYPES and _is_urn(f"do:{text}") is not None


# The first of these that a text has is the one that a message explains. A pattern is compiled when
# a message first needs it: at the import, these would take 1 ms.
_MISTAKES: list[tuple[Callable[[str], object], str]] = [
    (_is_surrounded, "; remove the white space or punctuation around it"),
    (partial(re.fullmatch, r"(?s)\s*#.*|.*\s#.*"), "; remove the comment"),
    (
        partial(re.match, "[A-Za-z]+://"),
        "; write the type and id that the URL names as do:TYPE:ID",
    ),
    (partial(re.match, "(?i:urn:)do:"), "; remove 'urn:'"),
    (partial(re.fullmatch, f"do:{TYPE_PATTERN}:?"), "; put ':' and the id after the type"),
    (partial(re.match, rf"do:(?::|(?:{_NUMBER_OR_UUID})\Z)"), "; put the type before the id"),
    (partial(re.fullmatch, _NUMBER_OR_UUID), "; put 'do:', the type and ':' before the id"),
    (
        partial(re.match, "d0:|do[;._/|-]|do:[a-z]+[;|]"),
        "; begin with 'do:' and put ':' between the type and the id",
    ),
    (_holds_another, "; pass each URN by itself, in a list"),
    (_is_placeholder, "; fill in the placeholder"),
    (_holds_float, "; pass the id as an int or a string of digits"),
    (_has_capitals, "; write 'do' and the type in lower case"),
    (_lacks_scheme, "; put 'do:' before it"),
]


def type_hint(resource_type: str) -> str:
    """Return what to do about a type that the API refuses; "" if that is not known."""
    if right := _SPELLINGS.get(resource_type):
        return f"use the type {right!r} instead of {resource_type!r}"
    if resource_type in _NEVER_ASSIGNED:
        return f"the API can't assign resources of the type {resource_type!r}"
    return ""


def listed_type(text: str) -> str:
    """Return the name that listings have for a type that a user passes.

    Raises:
        ValueError: It can't be the type of a listed resource.
    """
    lower = text.lower()
    if hint := type_hint(lower):
        raise ValueError(hint)
    if not re.fullmatch(LISTED_TYPE_PATTERN, text):
        raise ValueError(f"type must be a resource type, such as 'droplet', got {quoted(text)}")
    if text != lower and lower in _KNOWN_TYPES:
        raise ValueError(f"types are in lower case; use {lower!r} instead of {text!r}")
    return _LISTED_AS.get(text, text)


class URN(str):
    """A uniform resource name, `do:TYPE:ID`: the name of a resource.

    A URN is a string. It equals its text, has the same hash and order, and can be used wherever
    the text can: as a key, in sets, in f-strings, in tables and in the JSON of `json`. Encoders
    that refuse subclasses of str need its text, `str(urn)`: msgspec, and orjson for keys.

    The `urn` of a listed resource is kept as the API sent it, even if this class would refuse its
    parts: its type may contain capitals, dots and leading digits, and its id may be empty or
    contain spaces and quotes.

    https://docs.digitalocean.com/reference/api/reference/project-resources/

    Args:
        type: A resource type in lower case; `ResourceType` has the documented ones.
        id: The resource's id, which may contain colons, as an IPv6 address does.

    Raises:
        TypeError: An argument is of another type than annotated.
        ValueError: An argument can't be part of a URN.
    """

    __slots__ = ()

    # The default is refused, so that a message can explain a whole URN as the only argument.
    def __new__(cls, type: str, id: str | int | UUID = "") -> Self:  # noqa: A002 - the API's words
        """Return the URN of these parts."""
        type_text = _type_text(type)
        return str.__new__(cls, f"do:{type_text}:{_id_text(id, type_text)}")

    def __reduce__(self) -> tuple[Any, ...]:
        return _copied, (type(self), str(self)), self.__getstate__()

    @property
    def type(self) -> str:
        """The type, such as `droplet`."""
        return self.split(":", 2)[1]

    @property
    def id(self) -> str:
        """The id within the type, as text."""
        return self.split(":", 2)[2]

    @property
    def canonical(self) -> URN:
        """The URN under which the API lists this resource.

        `reservedip` and `floatingip` name the same address, and so do `reservedipv6` and
        `floatingipv6`. UUIDs and domains are in lower case, and IPv6 addresses are in their
        shortest notation. Two URNs name one resource if their canonical forms are equal.
        """
        # A listing may have 40,000 URNs, and almost all of them need only this test.
        if self.islower() and not self.startswith(ADDRESSES):
            return self
        _, listed_type, listed_id = self.split(":", 2)
        if self.startswith(ADDRESSES):
            listed_type = _LISTED_AS.get(listed_type, listed_type)
            if ":" in listed_id:  # IPv4 has a single notation
                with suppress(ValueError):
                    listed_id = str(ip_address(listed_id))
        elif listed_type == ResourceType.DOMAIN or _is_uuid(listed_id):
            listed_id = listed_id.lower()
        text = f"do:{listed_type}:{listed_id}"
        return self if text == self else str.__new__(URN, text)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the URN with this text.

        Raises:
            TypeError: `text` is not a string.
            ValueError: `text` is not of the form `do:TYPE:ID`.
        """
        if not isinstance(text, str):
            raise TypeError(f"a URN must be a string, got {type(text).__name__}")
        text = str.__str__(text)
        if (
            not _is_urn(text)
            or _holds_another(text)
            or _holds_placeholder(text)
            or _holds_float(text)
        ):
            raise ValueError(
                f"a URN must have the form do:TYPE:ID, got {quoted(text)}{_hint(text)}"
            )
        _refuse_token(text)
        return str.__new__(cls, text)

    @classmethod
    def of(cls, value: URNLike) -> URN:
        """Return the URN of a resource that is given in one of several forms.

        Args:
            value: A URN, its text, an object with an attribute `urn`, or a mapping with a key
                `urn`.

        Raises:
            TypeError: `value` is none of these.
            ValueError: The text is not of the form `do:TYPE:ID`.
        """
        urn: object = value
        if isinstance(value, Mapping):
            urn = value.get("urn")
        elif not isinstance(value, str):
            urn = getattr(value, "urn", None)
        if isinstance(urn, URN):
            return urn
        if not isinstance(urn, str):
            raise TypeError(
                "a resource must be a URN, its text, or an object or mapping with a urn, "
                f"got {type(value).__name__}"
            )
        return cls.parse(urn)

    @classmethod
    def __get_pydantic_core_schema__(cls, _: Any, __: Any) -> Any:
        from .pydantic import urn_schema  # noqa: PLC0415 - only users of pydantic need it

        return urn_schema()


def _copied(cls: type[URN], text: str) -> URN:
    """Return a copy of a URN without the checks, which a listed URN need not pass."""
    return str.__new__(cls, text)


class HasURN(Protocol):
    """An object with a `urn`, such as a `Resource` or an object of yours."""

    @property
    def urn(self) -> str:
        """The resource's name, as a `URN` or its text."""


URNLike: TypeAlias = str | HasURN | Mapping[str, object]
"""A resource as an argument: a `URN`, its text, or an object or mapping with a `urn`."""


def sendable(urn: URN) -> URN:
    """Return a URN that may be sent; its text may be any that the API lists.

    Raises:
        ValueError: The text is that of several URNs, or contains an API token.
    """
    if urn.count("do:") > 1 and _holds_another(urn):
        raise ValueError(f"a URN must have the form do:TYPE:ID, got {quoted(urn)}{_hint(urn)}")
    _refuse_token(urn)
    return urn


def _refuse_token(text: str) -> None:
    """Raise a ValueError if the text contains a token with its prefix.

    URNs are sent and printed. A token without a prefix looks like an id of 64 digits, so it passes.
    """
    if "_v1_" in text and holds_token(text):
        raise ValueError("a URN must not contain an API token")


def listed_urn(text: str) -> URN:
    """Return the URN with a text that the API sends, which may be any `do:TYPE:REST`.

    Raises:
        TypeError: `text` is not a string.
        ValueError: `text` is not of that form, or holds a control character or a lone surrogate.
    """
    return text if isinstance(text, URN) else str.__new__(URN, listed_text(text))


def listed_text(text: str) -> str:
    """Return the plain text of a URN that the API sends.

    Raises:
        TypeError: As in `listed_urn`.
        ValueError: As in `listed_urn`.
    """
    if isinstance(text, str):
        if isinstance(text, URN) or _is_listed(text):
            return str.__str__(text)
        raise ValueError(f"a URN must have the form do:TYPE:ID, got {quoted(text)}")
    raise TypeError(f"a URN must be a string, got {type(text).__name__}")


publish(globals())
