"""Tracing: the log records of attempts, and spans if the application uses OpenTelemetry."""

from __future__ import annotations

import logging
import sys
from contextlib import nullcontext
from functools import cache, wraps
from inspect import iscoroutinefunction
from time import monotonic
from typing import TYPE_CHECKING, Any, Self

from digitalocean_projects._errors import APIError, ClientUsageError

from .transport import request_id

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from types import ModuleType, TracebackType

    from digitalocean_projects._config import Settings
    from digitalocean_projects._described import Request
    from digitalocean_projects._limiter.lease import Lease

    from .transport import Answer

_logger = logging.getLogger("digitalocean_projects")
_UNTRACED = nullcontext()


def _telemetry() -> ModuleType | None:
    """Return the module `telemetry` if the application uses OpenTelemetry, or else None.

    Only the application imports OpenTelemetry.
    """
    telemetry = _loaded() if "opentelemetry.trace" in sys.modules else None
    return telemetry if telemetry is not None and telemetry.has_provider() else None


@cache
def _loaded() -> ModuleType | None:
    """Return the module `telemetry`, or None if this version of OpenTelemetry can't be used."""
    try:
        from . import telemetry  # noqa: PLC0415 - it imports OpenTelemetry
    except Exception as error:  # noqa: BLE001 - of the import, or of a provider of metrics
        _logger.error("requests have no spans, since OpenTelemetry raised %s", type(error).__name__)  # noqa: TRY400
        return None
    return telemetry


def operation(name: str) -> AbstractContextManager[object]:
    """Return a context manager that makes a call of the application a span."""
    telemetry = _telemetry()
    return _UNTRACED if telemetry is None else telemetry.operation(name)


class Steps:
    """An operation whose steps are separate calls of the application, such as an iteration."""

    def __init__(self, name: str) -> None:
        telemetry = _telemetry()
        self._operation = None if telemetry is None else telemetry.Operation(name)

    def step(self) -> AbstractContextManager[object]:
        """Return a context manager for one step. The span ends with an error."""
        return _UNTRACED if self._operation is None else self._operation.step()

    def end(self) -> None:
        """End the span: the next step, if any, begins another one."""
        if self._operation is not None:
            self._operation.end()


def trace_operations(cls: type, prefix: str = "") -> None:
    """Make each public coroutine method of a class an operation.

    This is done here, and not by a decorator of each method, so that none can be forgotten.
    """
    for name, method in list(vars(cls).items()):
        if iscoroutinefunction(method) and not name.startswith("_") and name != "aclose":
            setattr(cls, name, _traced(method, f"{prefix}{name}"))


def _traced(method: Any, name: str) -> Any:
    @wraps(method)
    async def traced(*arguments: Any, **options: Any) -> Any:
        with operation(name):
            return await method(*arguments, **options)

    return traced


def attempt_of(
    request: Request, settings: Settings, attempts: int
) -> AbstractContextManager[Attempt | None]:
    """Return a context manager for one attempt; its value is None if nobody wants a report."""
    if _logger.isEnabledFor(logging.DEBUG) or _telemetry() is not None:
        return Attempt(request, settings, attempts)
    return _UNTRACED


class Attempt:
    """One attempt at a request, as a context manager that reports it."""

    __slots__ = ("_answer", "_attempts", "_request", "_settings", "_span", "_start")

    def __init__(self, request: Request, settings: Settings, attempts: int) -> None:
        self._request = request
        self._settings = settings
        self._attempts = attempts
        self._answer: Answer | None = None

    def __enter__(self) -> Self:
        telemetry = _telemetry()
        described = self._request, self._settings, self._attempts
        self._span = None if telemetry is None else telemetry.AttemptSpan(*described)
        self._start = monotonic()
        return self

    def answered(self, answer: Answer) -> None:
        """Record the response, of any status."""
        self._answer = answer

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        answer = self._answer
        status = None if answer is None else answer.status
        if self._span is not None:
            self._span.end(status, self._request_id(), error)
        if answer is not None or isinstance(error, APIError | ClientUsageError):
            self._log(status, None if error is None else type(error).__name__)

    def _request_id(self) -> str | None:
        headers = {} if self._answer is None else self._answer.headers
        return request_id(headers, self._settings.token)

    def _log(self, status: int | None, error: str | None) -> None:
        if not _logger.isEnabledFor(logging.DEBUG):
            return
        seconds = monotonic() - self._start
        answered = self._request_id()
        _logger.debug(
            "%s: %s in %.0f ms, attempt %d, request id %s",
            self._request,
            status or error,
            seconds * 1000,
            self._attempts + 1,
            answered,
            extra={
                "do_method": self._request.method,
                "do_path": self._request.target,
                "do_attempt": self._attempts + 1,
                "do_status": status,
                "do_error": error,
                "do_seconds": seconds,
                "do_request_id": answered,
            },
        )


def note_wait(lease: Lease, seconds: float) -> None:
    """Report that a request has waited for the rate limits, if it had to."""
    if lease.waits_for and (telemetry := _telemetry()):
        telemetry.note_wait(lease, seconds)
