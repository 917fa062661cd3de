"""Failures: translates exceptions of requests without a complete response into this package's own.

An exception of aiohttp holds the headers of the request, and with them the token. So an error of
this package takes only an error number or a short, redacted text from it.
"""

from __future__ import annotations

import os
from ssl import SSLError
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from urllib.request import getproxies_environment, proxy_bypass

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

from digitalocean_projects._config import is_loopback
from digitalocean_projects._errors import (
    SERVER_ERRORS,
    APIConnectionError,
    APITimeoutError,
    ClientUsageError,
)
from digitalocean_projects._messages import one_line

if TYPE_CHECKING:
    from digitalocean_projects._config import Settings
    from digitalocean_projects._messages import Request

# The responses of a proxy after which another attempt may succeed.
_TRANSIENT = frozenset({408, 429, *SERVER_ERRORS})


@attrs.frozen(kw_only=True)
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
        """Return the error for an exception of aiohttp, of the system or of a hook."""
        if isinstance(error, ClientHttpProxyError):
            text = f"the proxy responded with status {error.status}"
            transient = error.status in _TRANSIENT
            return APIConnectionError(text, self.request, transient=transient, sent=False)
        if isinstance(error, TimeoutError):
            sent = not isinstance(error, ConnectionTimeoutError)
            text = f"no complete response from {self._origin} within {self.seconds:g} s"
            if not sent:
                text = self._unconnected(f"timed out after {self.connect_seconds:g} s")
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
        if isinstance(error, ClientProxyConnectionError):
            _, _, address = urlsplit(str(self.settings.proxy or "//")).netloc.rpartition("@")
            return f"cannot connect to the proxy {address}".rstrip() + f": {cause}"
        if isinstance(error, ClientConnectorCertificateError):
            return (
                f"cannot connect to {self._origin}: {cause}; if a private authority issued it, "
                "set SSL_CERT_FILE to a file with the certificate of the authority"
            )
        return self._unconnected(cause)

    def _unconnected(self, cause: str) -> str:
        return f"cannot connect to {self._origin}: {cause}{self._unused_proxy()}"

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
        """Return a hint if the environment names a proxy for the host that isn't used."""
        parts = urlsplit(self.settings.base_url)
        if self.settings.proxy or self.trusts_environment or is_loopback(parts.hostname or ""):
            return ""
        proxies = getproxies_environment()
        if parts.scheme not in proxies or proxy_bypass(parts.netloc):
            return ""
        variable = f"{parts.scheme}_proxy"
        name = variable if os.environ.get(variable) else variable.upper()
        return f"; {name} is set but not used, pass proxy=os.environ[{name!r}] to use it"


def _words(errno: int) -> str:
    """Return the name of an error number in lower case, like "connection refused"."""
    words = os.strerror(errno)
    return words[:1].lower() + words[1:]
