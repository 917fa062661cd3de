"""Scripted: the documents by which other programs describe faults and responses."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

import attrs

from . import faults
from ._answer import message

if TYPE_CHECKING:
    from ._recording import RecordedRequest

FAULTS = [name for name in faults.__all__ if name != "Fault"]
_is_header_name = re.compile("[!#$%&'*+.^_`|~0-9A-Za-z-]+").fullmatch
_is_header_value = re.compile("[\t -~\xa0-\xff]*").fullmatch
_TYPES: dict[str, type | tuple[type, ...]] = {
    "bool": bool,
    "int": int,
    "int | None": (int, type(None)),
    "float": (int, float),
    "str": str,
}


def optional_string(name: str, value: object) -> str | None:
    """Return `value` if it is a string or None.

    Raises:
        TypeError: It is something else.
    """
    if not isinstance(value, str | None):
        raise TypeError(f"{name} must be a string")
    return value


@attrs.frozen
class Requests:
    """The requests with a method, and a path that fits a pattern; None accepts all."""

    method: str | None
    path: str | None

    def __call__(self, request: RecordedRequest) -> bool:
        return self.method in {None, request.method} and (
            self.path is None or fnmatchcase(request.path, self.path)
        )


def requests_of(method: object, path: object) -> Requests | None:
    """Return a function that accepts requests with a method, and a path that fits a pattern."""
    method, path = optional_string("method", method), optional_string("path", path)
    if method is None and path is None:
        return None
    return Requests(method, path)


def part_of(members: dict[str, Any]) -> bytes | faults.Fault:
    """Return the answer or the fault that a document describes."""
    if "response" in members:
        response = members.pop("response")
        names = {"status", "body", "headers"}
        if members or not isinstance(response, dict) or not response or response.keys() - names:
            raise ValueError("response must be an object with status, body or headers alone")
        return _response(**response)
    name = members.pop("fault", None)
    if name not in FAULTS:
        raise ValueError(f"fault must be one of {', '.join(FAULTS)}, or response must be given")
    fault = getattr(faults, name)
    fields = attrs.fields_dict(fault)
    for argument, value in members.items():
        kind = fields[argument].type if argument in fields else None
        expected = _TYPES.get(str(kind), (list, type(None)))
        if not isinstance(value, expected) or (isinstance(value, bool) and expected is not bool):
            raise TypeError(f"{name} has no {argument} {value!r:.60}; see testing.faults")
    for argument, field in fields.items():
        if field.default is attrs.NOTHING and argument not in members:
            raise ValueError(f"{name} must have a {argument}, which is missing")
    part: faults.Fault = fault(**members)
    return part


def _response(status: object = 200, body: object = "", headers: object = None) -> bytes:
    if type(status) is not int or not 100 <= status <= 999:  # noqa: PLR2004 - three digits
        raise TypeError("status must be an integer from 100 to 999")
    if not isinstance(headers, dict | None):
        raise TypeError("headers must be an object")
    texts = {str(name): str(value) for name, value in (headers or {}).items()}
    for name, value in texts.items():
        if not (_is_header_name(name) and _is_header_value(value)):
            raise ValueError(f"headers must be one line of Latin-1 each, got {name!r:.60}")
    return message(status, body.encode() if isinstance(body, str) else body, texts)
