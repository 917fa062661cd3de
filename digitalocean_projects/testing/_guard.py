"""Guard: the check that no web page of another site controls the emulator."""

from __future__ import annotations

import re
import socket
from ipaddress import ip_address
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from collections.abc import Set as AbstractSet

    from ._recording import RecordedRequest

_match_authority = re.compile(
    r"(?:\[([0-9a-f:.]+)\]|([a-z0-9._-]+))(?::([0-9]{1,5}))?", re.IGNORECASE
).fullmatch
_is_name = re.compile(r"[a-z0-9_-]+(?:\.[a-z0-9_-]+)*", re.IGNORECASE).fullmatch
_LAST_PORT = 65535


def checked_hosts(names: Iterable[str]) -> frozenset[str]:
    """Return the names in lower case.

    Raises:
        TypeError: They are a single string, or one is not a string.
        ValueError: One is neither a name nor an address.
    """
    if isinstance(names, str):
        raise TypeError(f"allow_hosts must be a collection of names, got {names!r}")
    checked = set()
    for name in names:
        if not (_is_name(name) or _is_address(name)):
            raise ValueError(
                f"an allowed host must be a name without scheme and port, such as 'emulator', "
                f"got {name!r:.100}"
            )
        checked.add(name.lower())
    return frozenset(checked)


def problem_of_caller(request: RecordedRequest, allowed: AbstractSet[str]) -> str | None:
    """Return the reason to refuse a request that a web page of another site may have sent.

    A page of another origin sends its `Origin`. A page whose name was bound to this machine's
    address (DNS rebinding) has the same origin, but its `Host` is that name.

    Args:
        request: The request.
        allowed: Names that are allowed, in lower case, besides those of this machine.

    Returns:
        None if the request may be answered.
    """
    if (problem := problem_of_host(request, allowed)) is not None:
        return problem
    host, origin = request.headers["Host"], request.headers.get("Origin")
    if origin is None or origin.lower() == f"http://{host}".lower():
        return None
    return f"the origin {origin!r:.100} is not allowed"


def problem_of_host(request: RecordedRequest, allowed: AbstractSet[str]) -> str | None:
    """Return the reason to refuse a request whose `Host` a web page may have chosen, or None."""
    host = request.headers.get("Host", "")
    found = _match_authority(host)
    if found is not None and int(found[3] or 0) <= _LAST_PORT:
        name = (found[1] or found[2]).lower().removesuffix(".")
        known = name in allowed or name == "localhost" or name.endswith(".localhost")
        if _is_address(name) or (found[1] is None and (known or name in _own_names())):
            return None
    return f"the host {host!r:.100} is not allowed"


def is_of_browser(request: RecordedRequest) -> bool:
    """Return True if a browser sent the request for a web page."""
    return "Origin" in request.headers or "Sec-Fetch-Site" in request.headers


def _own_names() -> frozenset[str]:
    """Return the names of this machine, in lower case."""
    name = socket.gethostname().lower()
    return frozenset({name, name.partition(".")[0]})


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
