"""Failures: translates exceptions of requests without a complete response into this package's own.

An exception of aiohttp holds the headers of the request, and with them the token. So an error of
this package takes only an error number or a short, redacted text from it.
"""

from __future__ import annotations

import os
from contextlib import suppress
from ssl import SSLError
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import attrs
from aiohttp import (
    ClientConnectorCertificateError,
    ClientConnectorDNSError,
    ClientConnectorError,
    ClientError,
    ClientHttpProxyError,
    ClientPayloadError,
    ClientProxyConnectionError,
    ConnectionTimeoutError,
    ServerDisconnectedError,
)

from digitalocean_projects._config import checked_proxy, environment_proxy
from digitalocean_projects._defaults import ENVIRONMENT
from digitalocean_projects._errors import (
    SERVER_ERRORS,
    APIConnectionError,
    APITimeoutError,
    ClientUsageError,
)
from digitalocean_projects._messages import one_line

if TYPE_CHECKING:
    from digitalocean_projects._config import Settings
    from digitalocean_projects._described import Request

# The responses of a proxy after which another attempt may succeed.
_TRANSIENT = frozenset({408, 429, *SERVER_ERRORS})
# OpenSSL's codes of a certificate whose issuer is unknown, or that is its own issuer.
_UNKNOWN_ISSUER = frozenset({2, 18, 19, 20, 21})


@attrs.frozen(kw_only=True, eq=False, repr=False)
class Attempt:
    """An attempt at a request, for the description of its failure.

    Args:
        request: The request.
        settings: The settings of the client.
        seconds: Total seconds for the attempt.
        connect_seconds: Seconds to establish a connection.
        trusts_environment: True if the session uses the proxies of the environment.
    """

    request: Request
    settings: Settings
    seconds: float
    connect_seconds: float
    trusts_environment: bool

    def failure(self, error: Exception) -> APIConnectionError | ClientUsageError:
        """Return the error for an exception of aiohttp, of the system or of a hook.

        If the environment names a proxy that isn't used, a note of the error says so. A note shows
        in tracebacks, but not in the log of each retry, and not in messages of programs whose users
        can't pass a proxy.
        """
        failure = self._failure(error)
        if isinstance(failure, APIConnectionError) and not failure.sent:
            hint = self._unused_proxy()
            if hint:
                failure.add_note(hint)
        return failure

    def _failure(self, error: Exception) -> APIConnectionError | ClientUsageError:
        if isinstance(error, ClientHttpProxyError):
            text = f"the proxy responded with status {error.status}"
            transient = error.status in _TRANSIENT
            return APIConnectionError(text, self.request, transient=transient, sent=False)
        if isinstance(error, TimeoutError):
            sent = not isinstance(error, ConnectionTimeoutError)
            text = f"no complete response from {self._origin} within {self.seconds:g} s"
            if not sent:
                # aiohttp doesn't say whether the proxy or the host behind it is silent.
                through = f" through the proxy {self._proxy}" if self._proxy else ""
                cause = f"timed out after {self.connect_seconds:g} s"
                text = f"cannot connect to {self._origin}{through}: {cause}"
            return APITimeoutError(text, self.request, sent=sent)
        text = self._text(error)
        if isinstance(error, ClientError | OSError):
            return APIConnectionError(
                text,
                self.request,
                transient=not isinstance(error, ClientConnectorCertificateError),
                sent=not isinstance(error, ClientConnectorError),
            )
        failure = ClientUsageError(
            f"a hook or session of yours raised an exception: {text} ({self.request})"
        )
        failure.in_doubt = True
        return failure

    @property
    def _origin(self) -> str:
        parts = urlsplit(self.settings.base_url)
        return f"{parts.scheme}://{parts.netloc}"

    @property
    def _proxy(self) -> str:
        """The host and port of the proxy, without user and password; "" without a proxy."""
        return urlsplit(str(self.settings.proxy or "//")).netloc.rpartition("@")[2]

    def _text(self, error: Exception) -> str:
        if isinstance(error, ClientConnectorError):
            return self._connector_text(error)
        if isinstance(error, ServerDisconnectedError):
            return f"{self._origin} closed the connection without a complete response"
        if isinstance(error, ClientPayloadError):
            return "the response body is incomplete or malformed"
        if isinstance(error, OSError) and error.errno:
            return f"the connection to {self._origin} was lost: {_words(error.errno)}"
        return self._redacted(f"{type(error).__name__}: {error}")

    def _connector_text(self, error: ClientConnectorError) -> str:
        cause = self._cause(error)
        # With a proxy, only the name of the proxy is resolved here.
        is_unknown = isinstance(error, ClientConnectorDNSError) and bool(self._proxy)
        if is_unknown or isinstance(error, ClientProxyConnectionError):
            return f"cannot connect to the proxy {self._proxy}".rstrip() + f": {cause}"
        certificate_error = getattr(error, "certificate_error", None)
        if getattr(certificate_error, "verify_code", None) in _UNKNOWN_ISSUER:
            cause += "; if a private authority issued it, "
            cause += (
                "load the certificate of the authority into the context that you pass as ssl"
                if self.settings.ssl
                else "set SSL_CERT_FILE to a file with the certificate of the authority before "
                "Python starts"
            )
        return f"cannot connect to {self._origin}: {cause}"

    def _cause(self, error: ClientConnectorError) -> str:
        cause: object = getattr(error, "certificate_error", error.os_error)
        if isinstance(error, ClientConnectorCertificateError):
            problem = getattr(cause, "verify_message", "") or str(cause)
            return f"the server's certificate is invalid ({self._redacted(problem)})"
        if isinstance(error, ClientConnectorDNSError):
            problem = error.os_error.strerror or str(cause)
            return f"the host name can't be resolved ({self._redacted(problem)})"
        if isinstance(cause, SSLError):
            problem = (cause.reason or str(cause)).replace("_", " ").lower()
            return f"the TLS handshake failed ({self._redacted(problem)})"
        if error.errno:
            return _words(error.errno)
        return self._redacted(str(cause))

    def _redacted(self, text: str) -> str:
        """Return a text that may repeat what the server sent, without the secrets."""
        text = text.replace(self.settings.proxy or "\0", "***")
        return one_line(text, self.settings.token)

    def _unused_proxy(self) -> str:
        """Return a hint if the environment names a proxy that could be used; "" if not."""
        if self.settings.proxy or self.trusts_environment:
            return ""
        name, proxy = environment_proxy(self.settings.base_url)
        with suppress(ValueError):
            if checked_proxy(proxy) is not None:
                return f"{name} is set but not used; pass proxy={ENVIRONMENT!r} to use it"
        return ""


def _words(errno: int) -> str:
    """Return the name of an error number in lower case, like "connection refused"."""
    words = os.strerror(errno)
    return words[:1].lower() + words[1:]
