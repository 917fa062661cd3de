"""Messages: the request that a message is about, and the secrets that no message may show."""

from __future__ import annotations

import os
import re
from functools import wraps
from typing import TYPE_CHECKING, Any, ClassVar

import attrs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TOKEN_VARIABLES = ("DIGITALOCEAN_TOKEN", "DIGITALOCEAN_ACCESS_TOKEN")
_MASK = "***"
_LONGEST_LINE = 500
_LONGEST_QUOTE = 200
# A shorter secret is also found in words by chance, so there it is masked as a whole word only.
_FEWEST_CHARACTERS = 8
# A response may hold megabytes, of which a message needs the beginning only. This much takes some
# milliseconds.
_MOST_CHARACTERS = 65_536
# A text that is cut off may end with a part of a secret, which is not recognized. None that is
# unknown is longer than this, apart from those with a prefix, which alone is enough.
_LONGEST_SECRET = 512
# DigitalOcean's tokens, with or without their prefix. Without the look-behind, each digit of a run
# would be tried as the first one.
_TOKEN = r"(?i)do[a-z]_v1_[0-9a-z][\w~+/=-]*+|(?<![0-9a-f])[0-9a-f]{64,}+"  # noqa: S105 - a pattern
_find_token = re.compile(_TOKEN).search
# What follows "Bearer" is a token, unless all of it is a word of the API's messages.
_WORD = r"(?:tokens?|auth(?:entication|orization)?)[.:!?]*+(?![^\s'\",;)])"
_mask_tokens = re.compile(rf"{_TOKEN}|\bbearer\s++(?!{_WORD})[^\s'\",;)]++").sub


class Secret(str):
    """A text that shows in no `repr`, and whose parts show in none either.

    A traceback with local variables may cut a long text before it takes its `repr`, so slices and
    the results of the other methods are secrets, too. Only `str()`, `format()` without a
    specification and `encode()` return the text, which aiohttp and redis-py need; `str.join`,
    `json` and `pickle` read it directly. A copy, also by `pickle`, is a secret.

    Attributes:
        of_tenant: True for a token that a tenant of a service owns, and not the service.
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
        """Return `value` as a secret: None stays None, and any other type becomes an empty one."""
        if value is None or isinstance(value, cls):
            return value
        return cls(value) if isinstance(value, str) else cls()


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

    Secrets are those passed, the tokens in the environment, and whatever looks like a token.
    """
    variables = (Secret(os.environ.get(name, "").strip()) for name in TOKEN_VARIABLES)
    # The longest first, since one may be a part of another.
    known = sorted({*secrets, *variables} - {""}, key=len, reverse=True)
    is_cut = len(text) > _MOST_CHARACTERS
    text = text[:_MOST_CHARACTERS]
    for secret in known:
        text = _without(text, secret)
    text = _mask_tokens(_MASK, text)
    if is_cut:
        longest = max([_LONGEST_SECRET, *(len(_escaped(secret)) for secret in known)])
        text = f"{text[:-longest]}…"
    return text


def _escaped(secret: str) -> str:
    """Return a secret as it may stand in the `repr` of a text."""
    return secret.replace("\\", "\\\\")


def _without(text: str, secret: str) -> str:
    if len(secret) >= _FEWEST_CHARACTERS:
        return text.replace(secret, _MASK).replace(_escaped(secret), _MASK)
    # The secret stands first, since a search for a literal prefix is fast.
    pattern = re.escape(secret)
    if re.match(r"\w", secret[-1]):
        pattern += r"(?!\w)"
    if re.match(r"\w", secret[0]):
        pattern += rf"(?<!\w{re.escape(secret)})"
    return re.sub(pattern, _MASK, text)


def quoted(text: str, *secrets: str) -> str:
    """Return the `repr` of a text for a message: cut, and without secrets."""
    text = redacted(str.__str__(text), *secrets)
    return repr(text if len(text) <= _LONGEST_QUOTE else f"{text[: _LONGEST_QUOTE - 1]}…")


def holds_token(text: str) -> bool:
    """Return whether a token of DigitalOcean's is in `text`."""
    return _find_token(text) is not None


def one_line(text: str, secret: str = "") -> str:
    """Return `text` on one line and cut; with a secret, also without that and all tokens."""
    if secret:
        text = redacted(text, secret)
    text = "".join(c if c.isprintable() else " " for c in text[: 2 * _LONGEST_LINE])
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST_LINE else f"{text[: _LONGEST_LINE - 1]}…"


@attrs.frozen(kw_only=True)
class Request:
    """A request, as an exception describes it.

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


def status_text(status: int, id: str, message: str) -> str:  # noqa: A002 - the API's word
    """Return what an answer other than 2xx says, on one line."""
    return f"{f'{status} {id}'.rstrip()}{message and f': {message}'}"
