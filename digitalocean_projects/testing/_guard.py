"""Guard: the check that no web page of another site controls the emulator."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from ipaddress import ip_address
from urllib.parse import urlsplit


def problem_of_caller(host: str, origin: str | None, allowed: AbstractSet[str]) -> str | None:
    """Return the reason to refuse a request that a web page of another site may have sent.

    A page of another origin sends its `Origin`. A page whose name was bound to this machine's
    address (DNS rebinding) has the same origin, but its `Host` is that name.

    Args:
        host: The header `Host`.
        origin: The header `Origin`, if there is one.
        allowed: Names that are allowed, in lower case, besides those of this machine.

    Returns:
        None if the request may be answered.
    """
    name = _host_name(host)
    if not (_is_address(name) or _is_own(name, allowed)):
        return f"the host {name!r:.100} is not allowed"
    if origin is None or origin.lower() == f"http://{host}".lower():
        return None
    _, _, authority = origin.partition("://")
    if not _is_own(_host_name(authority), allowed):
        return f"the origin {origin!r:.100} is not allowed"
    return None


def _host_name(authority: str) -> str:
    """Return the host of an authority in lower case; empty if it has none."""
    try:
        return urlsplit(f"//{authority}").hostname or ""
    except ValueError:
        return ""


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _is_loopback(host: str) -> bool:
    if _is_address(host):
        return ip_address(host).is_loopback
    return host == "localhost" or host.endswith(".localhost")


def _is_own(host: str, allowed: AbstractSet[str]) -> bool:
    return _is_loopback(host) or host in allowed
