"""RedisLimits: limits that several processes share through Redis."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, get_args

import attrs

from digitalocean_projects._arguments import checked_seconds
from digitalocean_projects._config import DEFAULT_LIMITS, Limits
from digitalocean_projects._messages import Secret
from digitalocean_projects._public import publish

from .location import Location
from .server import Policy

_POLICIES = get_args(Policy)


def _as_url(url: Secret) -> Secret:
    Location.of_url(url)
    return url


def _checked_seconds(_: object, attribute: attrs.Attribute[Any], value: float) -> None:
    checked_seconds(attribute.name, value)


def _checked_share(_: object, __: attrs.Attribute[Any], value: float) -> None:
    if not 0 < value <= 1:
        raise ValueError(f"share is more than 0 and at most 1, not {value}")


def _checked_policy(_: object, attribute: attrs.Attribute[Any], value: str) -> None:
    if value not in _POLICIES:
        raise ValueError(f"{attribute.name} must be one of {', '.join(_POLICIES)}")


@attrs.frozen(init=False)
class RedisLimits(Limits):
    """Limits that all processes with the same Redis, token and base URL share.

    They keep what they share in one key of Redis (from version 5 on, or Valkey), which expires by
    itself. Give the same windows, margin and hold everywhere. The URL may hold a password, and
    shows in no `repr`, log record or exception.

    Args:
        url: Where Redis is: a server, as redis-py's `from_url` takes it
            (`redis://[user:password@]host:port/0`, `rediss://` with TLS, `unix://`); a cluster, by
            one or more of its nodes (`redis+cluster://[user:password@]host:port,host:port`); or
            what sentinels name (`redis+sentinel://[user:password@]host:port,host:port/service/0`,
            whose own login is `?sentinel_username=…&sentinel_password=…`). With TLS, the latter are
            `rediss+cluster://` and `rediss+sentinel://`. Other options follow the `?`, as in
            redis-py's URLs.
        hold: The seconds after which the tokens that a dead worker had leased count as used: more
            than twice the client's time-out.
        on_unavailable: What to do while Redis is away, which means that it can't be reached, lets
            nobody in, is loading, takes no writes, or that the sentinels know no master: keep to a
            share of the limits; fail, with a `RedisUnavailableError`; or be open, and keep to the
            limits without the other workers. In a cluster this concerns only the tokens whose node
            is away. Any other error of Redis or redis-py is a `RedisLimitsError` of each request.
        share: The part of each window to keep to: with one over the number of workers, they stay
            within the limits.
        prefix: What the key begins with.

    Raises:
        TypeError: A number of requests is no int, or `hold` no number.
        ValueError: The URL is none, there is no window, or a value is out of range.
    """

    url: Secret = attrs.field(converter=_as_url)
    hold: float = attrs.field(validator=_checked_seconds, kw_only=True)
    on_unavailable: Policy = attrs.field(validator=_checked_policy, kw_only=True)
    share: float = attrs.field(validator=_checked_share, kw_only=True)
    prefix: str = attrs.field(kw_only=True)

    def __init__(
        self,
        url: str,
        *,
        windows: Iterable[tuple[int, float]] = DEFAULT_LIMITS.windows,
        margin: float = DEFAULT_LIMITS.margin,
        grace: float = DEFAULT_LIMITS.grace,
        reserve: int = DEFAULT_LIMITS.reserve,
        hold: float = 120.0,
        on_unavailable: Policy = "share",
        share: float = 0.25,
        prefix: str = "digitalocean-projects",
    ) -> None:
        # By hand, since a traceback with local variables shows those of a generated one, too.
        url = Secret.hide(url) or Secret()
        self.__attrs_init__(
            url=url,
            windows=windows,
            margin=margin,
            grace=grace,
            reserve=reserve,
            hold=hold,
            on_unavailable=on_unavailable,
            share=share,
            prefix=prefix,
        )

    def check_timeout(self, timeout: float) -> None:
        """Raise a ValueError if tokens may come back while a request of a client is under way."""
        if self.hold <= 2 * timeout:
            raise ValueError(
                f"hold must be more than twice the timeout of {timeout:g} s, got {self.hold:g}"
            )


# A process that unpickles limits imports that module, which registers the kind of bucket.
publish(globals(), "digitalocean_projects.contrib.redis")
