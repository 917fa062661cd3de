"""Messages: the request that a message names, and the secrets that no message may contain."""

from __future__ import annotations

import os
import re
from functools import wraps
from typing import TYPE_CHECKING, Any, ClassVar, Self

import attrs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TOKEN_VARIABLES = ("DIGITALOCEAN_TOKEN", "DIGITALOCEAN_ACCESS_TOKEN")
_MASK = "***"
_LONGEST_LINE = 500
_LONGEST_QUOTE = 200
_LARGEST_INT = 10**20
# A shorter secret may be part of a word by chance, so it is masked only where it is a whole word.
_FEWEST_CHARACTERS = 8
# A response may hold megabytes, but a message needs only their beginning. To mask this number of
# characters takes some milliseconds.
_MOST_CHARACTERS = 65_536
# A text that is cut off may end with a part of a secret, which is not recognized. An unknown secret
# is not longer than this, unless it has a prefix, which is enough to recognize it.
_LONGEST_SECRET = 512
# DigitalOcean's tokens, with or without their prefix. The look-behind keeps the search linear:
# without it, each digit of a run would be tried as the first one.
_TOKEN = r"(?i)do[a-z]_v1_[0-9a-z][\w~+/=-]*+|(?<![0-9a-f])[0-9a-f]{64,}+"  # noqa: S105 - a pattern
_find_token = re.compile(_TOKEN).search
# The word after "Bearer" is a token, unless it is one of these words of the API's messages.
_WORD = r"(?:tokens?|auth(?:entication|orization)?)[.:!?]*+(?![^\s'\",;)])"
_mask_tokens = re.compile(rf"{_TOKEN}|\bbearer\s++(?!{_WORD})[^\s'\",;)]++").sub

# The user and password in a URL, such as that of a proxy. A password may hold characters that a URL
# must escape, but what follows a port is a path. The limit keeps the search linear.
_USER = r"[^\s/?#:@]*+:(?!\d++[/?#])\S{0,256}|[^\s/?#]{0,256}"
_mask_users = re.compile(rf"://(?!\[user:password@\])(?:{_USER})@").sub


class Secret(str):
    """A string whose `repr` is `***`, and so is the `repr` of its parts.

    A traceback with local variables may shorten a text before it calls `repr`, so slices and the
    results of the other methods are secrets, too. Only `str()`, `format()` without a
    specification and `encode()` return the text, which aiohttp and redis-py need; `str.join`,
    `json` and `pickle` read it directly. A copy is a secret, and so is an unpickled one.

    Attributes:
        of_tenant: True for a token that belongs to a tenant of a service, instead of the service.
    """

    __slots__ = ()

    of_tenant: ClassVar[bool] = False

    def __repr__(self) -> str:
        return repr(_MASK)

    def __format__(self, specification: str) -> str:
        return format(_MASK, specification) if specification else str(self)

    def __iter__(self) -> Iterator[str]:
        return map(Secret, str(self))

    def __radd__(self, other: str) -> Secret:
        return Secret(other + str(self))

    @classmethod
    def hide(cls, value: object) -> Secret | None:
        """Return `value` as a secret: None stays None, and any other type becomes `NotText`."""
        return None if value is None else cls.hide_any(value)

    @classmethod
    def hide_any(cls, value: object) -> Secret:
        """Return `value` as a secret, or `NotText` if it is not a string."""
        if isinstance(value, cls):
            return value
        return cls(value) if isinstance(value, str) else NotText(type(value).__name__)


class NotText(Secret):
    """An empty secret that stands for a value of a wrong type, whose `repr` may show a token.

    Args:
        kind: The name of the type.
    """

    kind: str

    def __new__(cls, kind: str) -> Self:
        self = super().__new__(cls)
        self.kind = kind
        return self


_DERIVING = """
    __add__ __getitem__ __mod__ __mul__ __rmod__ __rmul__ capitalize casefold center expandtabs
    format format_map join ljust lower lstrip partition removeprefix removesuffix replace rjust
    rpartition rsplit rstrip split splitlines strip swapcase title translate upper zfill
"""


def _secret_parts(value: Any) -> Any:
    if isinstance(value, str):
        return Secret(value)
    return type(value)(map(Secret, value)) if isinstance(value, list | tuple) else value


def _hiding(method: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(method)
    def hiding(*arguments: Any, **options: Any) -> Any:
        return _secret_parts(method(*arguments, **options))

    return hiding


for _name in _DERIVING.split():
    setattr(Secret, _name, _hiding(getattr(str, _name)))


def redacted(text: str, *secrets: str) -> str:
    """Return `text` with `***` in place of secrets, cut after at most 65,536 characters.

    Secrets are the arguments, the tokens in the environment, all text that looks like a token, and
    the user and password of each URL.
    """
    variables = (Secret(os.environ.get(name, "").strip()) for name in TOKEN_VARIABLES)
    # The longest first, since one may be a part of another.
    known = sorted({*secrets, *variables} - {""}, key=len, reverse=True)
    is_cut = len(text) > _MOST_CHARACTERS
    text = text[:_MOST_CHARACTERS]
    for secret in known:
        text = _without(text, secret)
    text = _mask_tokens(_MASK, text)
    if "@" in text:
        text = _mask_users(f"://{_MASK}@", text)
    if is_cut:
        longest = max([_LONGEST_SECRET, *(len(_escaped(secret)) for secret in known)])
        text = f"{text[:-longest]}…"
    return text


def _escaped(secret: str) -> str:
    """Return a secret as the `repr` of a text may contain it."""
    return secret.replace("\\", "\\\\")


def _without(text: str, secret: str) -> str:
    if len(secret) >= _FEWEST_CHARACTERS:
        return text.replace(secret, _MASK).replace(_escaped(secret), _MASK)
    # The pattern starts with the secret, since a search for a literal prefix is fast.
    pattern = re.escape(secret)
    if re.match(r"\w", secret[-1]):
        pattern += r"(?!\w)"
    if re.match(r"\w", secret[0]):
        pattern += rf"(?<!\w{re.escape(secret)})"
    return re.sub(pattern, _MASK, text)


def quoted(text: str, *secrets: str) -> str:
    """Return the `repr` of a text for a message, cut and without secrets."""
    text = redacted(str.__str__(text), *secrets)
    return repr(text if len(text) <= _LONGEST_QUOTE else f"{text[: _LONGEST_QUOTE - 1]}…")


def number_text(value: float) -> str:
    """Return a number for a message, without the digits of a long int."""
    if isinstance(value, int) and abs(value) > _LARGEST_INT:
        # Python doesn't convert ints of more than 4,300 digits.
        return f"an int of {value.bit_length()} bits"
    return str(value)


def holds_token(text: str) -> bool:
    """Return True if `text` contains a token of DigitalOcean's."""
    return _find_token(text) is not None


def one_line(text: str, secret: str = "") -> str:
    """Return `text` on one line and cut; with `secret`, also without it and without any token."""
    if secret:
        text = redacted(text, secret)
    text = "".join(c if c.isprintable() or _joins(c) else " " for c in text[: 2 * _LONGEST_LINE])
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST_LINE else f"{text[: _LONGEST_LINE - 1]}…"


_joins = re.compile("[\u200c\u200d\U000e0020-\U000e007f]").match  # within emoji and words


# Without slots, attrs makes an instance of a frozen class in 0.7 µs instead of 3.7, since it sets
# the attributes in `__dict__`. This and other classes have an instance for each request.
@attrs.frozen(kw_only=True, slots=False)
class Request:
    """A request, as the messages of exceptions and the log describe it.

    Args:
        method: The method in upper case.
        path: The path below the base URL, with the query.
        prefix: The path of the base URL, such as that of a gateway.
        scopes: The scopes that a token needs for the request.
        hint: What to change in the request if the API refuses it as a bad one; "" for no hint.
        idempotent: True if a repetition of the request changes nothing.
    """

    method: str
    path: str
    prefix: str = ""
    scopes: tuple[str, ...] = ()
    hint: str = ""
    idempotent: bool = True

    @property
    def target(self) -> str:
        """The whole path with the query, as the server receives it."""
        return f"{self.prefix}{self.path}"

    def __str__(self) -> str:
        return f"{self.method} {self.target}"


def status_text(status: int, id: str, message: str) -> str:  # noqa: A002 - the API's word
    """Return the text of a response with another status than 2xx, on one line."""
    return f"{f'{status} {id}'.rstrip()}{message and f': {message}'}"
