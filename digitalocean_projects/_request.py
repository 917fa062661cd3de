"""Request: a request to any endpoint of the API, its checks, and its response."""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote, unquote, urlencode

import attrs

from ._arguments import checked_type
from ._codec.headers import Headers, RateLimit
from ._codec.json import DecodeError, decode_value
from ._codec.value import encode_value
from ._described import Request
from ._errors import APIResponseError
from ._messages import quoted
from ._paginator.listing import Unidentified
from ._public import publish
from ._session.transport import Answer

if TYPE_CHECKING:
    from ._messages import Secret

_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_IDEMPOTENT = frozenset({"GET", "HEAD", "PUT", "DELETE"})
_ROOT = "/v2/"
_LONGEST_PATH = 2000
_LONGEST_QUERY = 8000
_MOST_BITS = 1024
# `re` keeps the compiled patterns: at the import, they would take 0.8 ms of every client's.
_PATH = r"(?:[a-zA-Z0-9/._~!$&'()*+,;=:@-]|%[0-9a-fA-F]{2})*+"
# The last one stands for bytes that are not UTF-8, which some servers read as dots.
_CONTROL = "[\x00-\x1f\x7f\\\\\ufffd]"
# A shorter token may be a part of a word.
_SHORTEST_TOKEN = 8
# The paginator sets these.
_PAGING = ("page", "per_page")


@attrs.frozen(kw_only=True, repr=False, eq=False)
class APIResponse:
    """A response of the API with a status 2xx, as `AsyncClient.request` returns it.

    The class method `of` is internal.

    Args:
        status: The HTTP status.
        headers: The headers: a read-only mapping, whose keys ignore case. The values of a repeated
            header are joined by `, `.
        body: The body in bytes, after decompression. It is empty for a 204 and for a HEAD.
        request_id: The id that DigitalOcean's support asks for, or None.
        rate_limit: The rate limit in the headers, or None.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    request_id: str | None
    rate_limit: RateLimit | None
    _request: Request

    @classmethod
    def of(cls, answer: Answer) -> Self:
        """Return the response for an answer, without its secret."""
        return cls(
            status=answer.status,
            headers=Headers(answer.headers),
            body=answer.body,
            request_id=answer.request_id,
            rate_limit=RateLimit.from_headers(answer.headers),
            request=answer.request,
        )

    def __repr__(self) -> str:
        return f"<APIResponse {self.status} to {self._request}>"

    def json(self) -> Any:
        """Return the body as JSON: dicts, lists, strings, numbers, bools and None.

        Each call decodes the body again, and returns a new value.

        Raises:
            APIResponseError: The body is empty, or is not JSON.
        """
        reason = "expected JSON, got an empty body"
        if self.body:
            try:
                return decode_value(self.body)
            except DecodeError as error:
                reason = str(error)
        # Outside the handler, since an exception refers to the one that is being handled.
        raise APIResponseError(
            reason, self._request, status=self.status, request_id=self.request_id
        )


def endpoint_request(
    method: str,
    path: str,
    *,
    params: Mapping[str, str | int | Sequence[str | int]] | None,
    json: object,
    idempotent: bool | None,
    secret: Secret,
) -> tuple[Request, bytes | None]:
    """Return the request and its body, from the arguments of `AsyncClient.request`.

    Raises:
        TypeError: An argument has another type than annotated.
        ValueError: An argument is invalid. The message doesn't contain the token.
    """
    name = str.__str__(checked_type("method", method, str)).upper()
    if name not in _METHODS:
        *most, last = _METHODS
        wanted = f"{', '.join(most)} or {last}"
        raise ValueError(f"method must be {wanted}, got {quoted(method, secret)}")
    if idempotent is not None:
        checked_type("idempotent", idempotent, bool)
    query = encoded_query(params, secret)
    request = Request(
        method=name,
        path=checked_path(path, secret) + (query and f"?{query}"),
        idempotent=name in _IDEMPOTENT if idempotent is None else idempotent,
    )
    return request, None if json is None else encode_value("json", json)


def checked_path(path: str, secret: Secret) -> str:
    """Return the path of an endpoint after checking that no server can read it as another one.

    Raises:
        TypeError: It is not a string.
        ValueError: It names a host, has a query, a dot segment or an empty one, even if it is
            encoded, or contains a token. The message doesn't contain the token.
    """
    text = str.__str__(checked_type("path", path, str, hint="a path such as '/v2/droplets'"))
    if len(text) > _LONGEST_PATH:
        raise ValueError(f"path must have at most {_LONGEST_PATH} characters, got {len(text)}")
    levels = [*_decoded(text)]
    if any(_holds(level, secret) for level in levels):
        raise ValueError("path must not contain an API token")
    got = f"got {quoted(text, secret)}"
    if "://" in text or text.startswith(("//", "\\")):
        raise ValueError(f"path must begin with {_ROOT!r}, without a scheme and host, {got}")
    if "?" in text or "#" in text:
        raise ValueError(
            f"path must have no query and no fragment, {got}; pass params={{…}} for a query"
        )
    if not text.startswith(_ROOT) or text == _ROOT:
        rest = re.sub("^v2(/|$)", "", text.strip("/"))
        hint = f"; write {quoted(_ROOT + rest, secret)}" if re.match(r"\w", rest) else ""
        raise ValueError(f"path must begin with {_ROOT!r} and the name of an endpoint, {got}{hint}")
    if not re.fullmatch(_PATH, text):
        raise ValueError(
            f"path must consist of the ASCII characters of a URL's path, {got}; "
            "encode each part with urllib.parse.quote(part, safe='')"
        )
    if any(re.search(_CONTROL, level) or _moves(level) for level in levels):
        raise ValueError(
            f"path must have no empty part, no '.', no '..' and no control character, "
            f"also encoded, {got}"
        )
    return text


def _decoded(path: str) -> Iterator[str]:
    """Yield the path, and what is left after each further decoding, since servers may do several.

    The work is bounded: each decoding makes the path shorter.
    """
    while True:
        yield path
        decoded = unquote(path)
        if decoded == path:
            return
        path = decoded


def _moves(path: str) -> bool:
    """Return True if a server could read a part of the path as none, or as a move upwards."""
    # Some servers cut off parameters after a semicolon.
    parts = [part.partition(";")[0].strip() for part in path.removesuffix("/").split("/")[1:]]
    return not {"", ".", ".."}.isdisjoint(parts)


def _holds(text: str, secret: Secret) -> bool:
    """Return True if a text contains a token.

    Only the prefix identifies another token, since some paths contain a digest of 64 hexadecimal
    digits.
    """
    own = len(secret) >= _SHORTEST_TOKEN and str(secret) in text
    return own or re.search("(?i)do[a-z]_v1_", text) is not None


def encoded_query(
    params: Mapping[str, str | int | Sequence[str | int]] | None,
    secret: Secret,
    *,
    paging: bool = False,
) -> str:
    """Return parameters as the query of a URL, without `?`.

    Args:
        params: The parameters; None for none.
        secret: The token, which they must not contain.
        paging: True if the paginator sets `page` and `per_page`.

    Raises:
        TypeError: A name or value has another type than annotated.
        ValueError: A name or list is empty, a text contains a token or is not valid Unicode, a
            name is that of a parameter for paging, or the query is too long.
    """
    if params is None:
        return ""
    pairs: list[tuple[str, str]] = []
    length = 0
    for name, text in _params(checked_type("params", params, Mapping, hint="a dict"), secret):
        if paging and name in _PAGING:
            raise ValueError(f"params must not have {name!r}; pass per_page=… to paginate()")
        length += len(name) + len(text)
        if length > _LONGEST_QUERY:
            raise ValueError(_TOO_LONG)
        pairs.append((name, text))
    if any(_holds(text, secret) for pair in pairs for text in pair):
        raise ValueError("params must not contain an API token")
    try:
        query = urlencode(pairs, quote_via=quote)
    except UnicodeEncodeError:
        query = None
    if query is None:
        raise ValueError("params must be valid Unicode text, got a lone surrogate")
    if len(query) > _LONGEST_QUERY:
        raise ValueError(_TOO_LONG)
    return query


_TOO_LONG = (
    f"params must have at most {_LONGEST_QUERY} characters as a query, got more; "
    "send several requests, each with a part of the values"
)


def _params(
    params: Mapping[str, str | int | Sequence[str | int]], secret: Secret
) -> Iterator[tuple[str, str]]:
    """Yield each name and value as text, after checking it."""
    for name, value in params.items():
        if not checked_type("the name of a parameter", name, str):
            raise ValueError("the name of a parameter must not be empty")
        where = f"params[{quoted(name, secret)}]"
        values: Sequence[Any] = value if isinstance(value, list | tuple) else [value]
        if not values:
            # Without the parameter, the API would return everything.
            raise ValueError(f"{where} must not be an empty list; leave it out for no filter")
        for each in values:
            yield str.__str__(name), _param_text(where, each)


def _param_text(where: str, value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    hint = "a list of these for several values, or leave it out for none"
    checked: Any = checked_type(where, value, (str, int), hint=hint)
    if isinstance(checked, str):
        # As plain text, for members of enums, too.
        return str.__str__(checked)
    if checked.bit_length() > _MOST_BITS:
        wanted = f"an int of at most {_MOST_BITS} bits"
        raise ValueError(f"{where} must be {wanted}, got {checked.bit_length()}")
    return int.__repr__(checked)


def identity(item: dict[str, Any]) -> Hashable:
    """Return the `id` of an object, or else its `urn`; an object without both equals no other."""
    for name in ("id", "urn"):
        value = item.get(name)
        if value and type(value) in {str, int}:
            return name, value
    return Unidentified()


publish(globals())
