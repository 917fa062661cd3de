"""Connections: the session of aiohttp that a client sends its requests on, and its checks."""

from __future__ import annotations

from ssl import CERT_NONE, SSLContext
from types import NoneType
from typing import TYPE_CHECKING

from aiohttp import ClientSession, DummyCookieJar, Fingerprint, TCPConnector

from digitalocean_projects._arguments import checked_type
from digitalocean_projects._errors import ClientUsageError

from .pool import running_loop

if TYPE_CHECKING:
    from digitalocean_projects._config import Settings


def checked_ssl(context: SSLContext | None, *, allow_insecure: bool) -> SSLContext | None:
    """Return the TLS settings after checking that they verify the server.

    Raises:
        TypeError: They are no SSLContext.
        ValueError: They don't verify the certificate or its host name.
    """
    if context is None:
        return None
    hint = "for example ssl.create_default_context(cafile='authority.pem')"
    checked_type("ssl", context, (SSLContext, NoneType), hint=hint)
    if not (_verified_by(context) or allow_insecure):
        raise ValueError(_unverified("ssl"))
    return context


def checked_session(session: ClientSession | None, *, allow_insecure: bool) -> ClientSession | None:
    """Return a session of the caller after checking that it is safe for the token.

    Raises:
        TypeError: It is no ClientSession.
        ValueError: It stores cookies or reads the environment, or its connector doesn't verify the
            server.
    """
    if session is None:
        return None
    hint = "a function as session_factory" if callable(session) else ""
    checked_type("session", session, (ClientSession, NoneType), hint=hint)
    if session.trust_env:
        raise ValueError(
            "session must not have trust_env=True, which reads netrc files, too; "
            "pass proxy='env' to the client for the proxies of the environment"
        )
    jar = type(session.cookie_jar).__name__
    if not isinstance(session.cookie_jar, DummyCookieJar):
        raise ValueError(  # noqa: TRY004 - the type of the session is right
            f"session must not store cookies, got a session with a {jar}; "
            "create it with cookie_jar=aiohttp.DummyCookieJar()"
        )
    if not (_verifies(session) or allow_insecure):
        raise ValueError(_unverified("the connector of session"))
    return session


def _verifies(session: ClientSession) -> bool:
    """Return True if the connector of a session verifies servers.

    aiohttp doesn't make its TLS settings public. A connector without any, such as one for a socket
    of this machine, passes its requests to aiohttp's default.
    """
    return _verified_by(getattr(session.connector, "_ssl", True))


def _verified_by(context: object) -> bool:
    """Return True if TLS settings of aiohttp verify the server: True, a context or a digest."""
    if isinstance(context, SSLContext):
        return context.verify_mode != CERT_NONE and context.check_hostname
    return context is True or isinstance(context, Fingerprint)


def _unverified(name: str) -> str:
    return (
        f"{name} must verify the certificate and its host name; "
        "pass allow_insecure=True to allow any server to read the token"
    )


def open_session(settings: Settings) -> ClientSession:
    """Return a new session for these settings, in the running loop."""
    if settings.session is not None:
        session = _borrowed(settings.session)
    elif settings.session_factory is not None:
        session = settings.session_factory()
        if not isinstance(session, ClientSession):
            kind = type(session).__name__
            raise TypeError(f"session_factory must return an aiohttp.ClientSession, got {kind}")
        if not (_verifies(session) or settings.ssl or settings.allow_insecure):
            session.detach()
            raise ValueError(_unverified("the connector of the session of session_factory"))
    else:
        session = ClientSession(
            # Only the token buckets limit the requests. If the connector had a limit, one tenant
            # whose requests hang could occupy all connections.
            connector=TCPConnector(limit=0),
            cookie_jar=DummyCookieJar(),
            trace_configs=list(settings.trace_configs),
        )
    # Otherwise aiohttp sends a failed GET again by itself, and nothing here would count that.
    session._retry_connection = False  # noqa: SLF001 - there is no public switch
    return session


def _borrowed(original: ClientSession) -> ClientSession:
    """Return a session on the connections of another one, which remains open.

    The settings of the original session that concern requests, such as its headers and its retry
    of a failed GET, are for the requests of its owner.

    Raises:
        ClientUsageError: The original is closed, or belongs to another event loop.
    """
    if original.closed:
        raise ClientUsageError("the session is closed; close the client before its session")
    if original._loop is not running_loop():  # noqa: SLF001 - the property is deprecated
        raise ClientUsageError(
            "the session belongs to another event loop; make one session for each event loop"
        )
    session = ClientSession(
        connector=original.connector, connector_owner=False, cookie_jar=DummyCookieJar()
    )
    # An instrumentation adds its own to each new session, and so to the original one.
    session.trace_configs[:] = original.trace_configs
    return session
