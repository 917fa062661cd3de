"""RedisLimits: rate limits that several processes share through Redis."""

from collections.abc import Iterable
from typing import Any, get_args

import attrs

from digitalocean_projects._arguments import checked_seconds
from digitalocean_projects._config import DEFAULT_LIMITS, Limits
from digitalocean_projects._messages import Secret, number_text
from digitalocean_projects._public import publish

from .location import Location
from .server import Policy

_POLICIES = get_args(Policy)


def _as_url(url: Secret) -> Secret:
    Location.of_url(url)
    return url


def _checked_seconds(_: object, attribute: "attrs.Attribute[Any]", value: float) -> None:
    checked_seconds(attribute.name, value)


def _checked_share(_: object, __: "attrs.Attribute[Any]", value: float) -> None:
    if not 0 < value <= 1:
        raise ValueError(f"share must be more than 0 and at most 1, got {number_text(value)}")


def _checked_policy(_: object, attribute: "attrs.Attribute[Any]", value: str) -> None:
    if value not in _POLICIES:
        raise ValueError(f"{attribute.name} must be one of {', '.join(_POLICIES)}, got {value!r}")


@attrs.frozen(init=False)
class RedisLimits(Limits):
    """Rate limits that all processes with the same Redis, token and base URL share.

    Pass them as `limits` to a client. The shared state of an API token is one key of Redis (version
    5 or newer) or Valkey, which expires by itself. Give the same values to all workers. The URL may
    contain a password. It appears in no `repr`, log record or exception.

    Args:
        url: The URL of a server, as redis-py's `from_url` takes it
            (`redis://[user:password@]host:port/0`, `rediss://` with TLS, `unix://`); of a cluster,
            with one or more of its nodes (`redis+cluster://[user:password@]host:port,host:port`);
            or of sentinels (`redis+sentinel://[user:password@]host:port,host:port/service/0`, whose
            own login is `?sentinel_username=…&sentinel_password=…`). With TLS, the latter are
            `rediss+cluster://` and `rediss+sentinel://`. Other options of redis-py follow the `?`.
        windows: As in `Limits`.
        margin: As in `Limits`.
        grace: As in `Limits`.
        reserve: As in `Limits`.
        hold: If a worker dies, Redis assumes that its requests reached the API this number of
            seconds after their leases. The default is 120. It must be more than twice the client's
            `timeout`.
        on_unavailable: The policy while Redis can't be reached, refuses the login, is loading or
            accepts no writes, or while the sentinels know no master. With `"share"`, the default,
            the worker uses at most `share` of the limits. With `"fail"`, requests raise
            `RedisUnavailableError`. With `"open"`, the worker uses the whole limits. In a cluster,
            this applies only to the API tokens whose node is unavailable. Any other error of Redis
            or redis-py raises `RedisLimitsError`.
        share: The part of each window that this worker may use while Redis is unavailable, more
            than 0 and at most 1. The default is 0.25. With 1 / the number of workers, they stay
            within the limits together.
        prefix: The beginning of the keys. The default is `digitalocean-projects`.

    Raises:
        TypeError: A number of requests is not an int, or `hold` is not a number.
        ValueError: The URL is invalid, there is no window, or a value is out of range.
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
        # Written by hand, because a traceback with local variables would show the URL in the frame
        # of a generated method.
        url = Secret.hide_any(url)
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
        """Check that no lease can expire during a request of a client with this timeout.

        Raises:
            ValueError: `hold` is at most twice the timeout.
        """
        if self.hold <= 2 * timeout:
            raise ValueError(
                f"hold must be more than twice the timeout of {timeout:g} s, got {self.hold:g}"
            )


# A process that unpickles limits imports that module, which registers the kind of bucket.
publish(globals(), "digitalocean_projects.contrib.redis")
