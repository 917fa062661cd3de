"""Telemetry: OpenTelemetry's spans of operations and attempts, and the gauges of the rate limits.

Only `tracing` imports this module, and only after the application has imported OpenTelemetry. Just
the API of OpenTelemetry is used, with the providers that the application has set.

https://opentelemetry.io/docs/specs/semconv/http/http-spans/
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from contextlib import contextmanager, suppress
from functools import cache, lru_cache
from time import time_ns
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from weakref import ref

from opentelemetry import metrics, trace
from opentelemetry.context import attach, create_key, detach, get_current, get_value, set_value
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.trace import (
    NonRecordingSpan,
    ProxyTracerProvider,
    Span,
    SpanKind,
    StatusCode,
    Tracer,
    TracerProvider,
)

from digitalocean_projects._errors import APIError, ClientUsageError
from digitalocean_projects._limiter.shared import shared_buckets
from digitalocean_projects._messages import one_line
from digitalocean_projects._version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from opentelemetry.context import Context

    from digitalocean_projects._config import Settings
    from digitalocean_projects._described import Request
    from digitalocean_projects._limiter.lease import Lease

_NAME = "digitalocean_projects"
_FIRST_ERROR = 400
_logger = logging.getLogger(_NAME)
# An operation that runs within another one has no span of its own.
_OPERATION = create_key(f"{_NAME}.operation")


@contextmanager
def _guarded() -> Iterator[None]:
    """Log an exception of a provider or processor: it must not hide the outcome of a request."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 - it may be of any type
        _report(type(error).__name__)


@cache
def _report(kind: str) -> None:
    """Log an exception once, without its message, which may hold a secret."""
    _logger.error("OpenTelemetry raised %s, so spans of requests are missing or incomplete", kind)


def has_provider() -> bool:
    """Return True if the application has set a tracer provider: spans go there."""
    with _guarded():
        return not isinstance(trace.get_tracer_provider(), ProxyTracerProvider)
    return False


@lru_cache(maxsize=1)
def _tracer_of(provider: TracerProvider) -> Tracer:
    return provider.get_tracer(_NAME, __version__)


def _start(name: str, **options: object) -> Span:
    with _guarded():
        return _tracer_of(trace.get_tracer_provider()).start_span(name, **options)  # type: ignore[arg-type]  # its own options
    # The children of this one become those of the caller's span.
    return NonRecordingSpan(trace.get_current_span().get_span_context())


def _end(span: Span, end_time: int | None = None) -> None:
    with _guarded():
        span.end(end_time)


@contextmanager
def _attached(context: Context) -> Iterator[None]:
    token = attach(context)
    try:
        yield
    finally:
        # The coroutine of a closed loop is collected in any context.
        if get_current() is context:
            detach(token)


class Operation:
    """The span of an operation, which may have several steps.

    The span starts with the first step. It ends with a call of `end`, with an error, or when the
    operation is dropped, such as an iteration that was left early. After that, the next step starts
    another span.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._span: Span | None = None
        self._loop: ref[asyncio.AbstractEventLoop]
        self._latest = 0

    @contextmanager
    def step(self) -> Iterator[None]:
        """Run one step: the attempts in it become children of the span."""
        if self._span is None:
            if get_value(_OPERATION):
                yield
                return
            self._span, self._loop = _start(self._name), ref(asyncio.get_running_loop())
        context = set_value(_OPERATION, True, trace.set_span_in_context(self._span))  # noqa: FBT003 - its API
        try:
            with _attached(context):
                yield
        except GeneratorExit:
            raise
        except BaseException as error:
            if not isinstance(error, StopAsyncIteration):
                _fail(self._span, error)
            self.end()
            raise
        finally:
            self._latest = time_ns()

    def end(self) -> None:
        """End the span."""
        span, self._span = self._span, None
        if span is not None:
            _end(span)

    def __del__(self) -> None:
        # Garbage may be collected at any point, also while an exporter holds its lock, so the loop
        # ends the span. If the loop is closed, the span is lost.
        if self._span is not None and (loop := self._loop()) is not None:
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(_end, self._span, self._latest)


@contextmanager
def operation(name: str) -> Iterator[None]:
    """Run an operation of one step."""
    only = Operation(name)
    with only.step():
        yield
    only.end()


class AttemptSpan:
    """The span of one attempt at a request, which is the current one from now on."""

    def __init__(self, request: Request, settings: Settings, resent: int) -> None:
        server = urlsplit(settings.base_url)
        attributes: dict[str, str | int] = {
            "http.request.method": request.method,
            "server.address": server.hostname or "",
            "server.port": server.port or (443 if server.scheme == "https" else 80),
            "url.full": one_line(f"{settings.base_url}{request.path}", settings.token),
        }
        if resent:
            attributes["http.request.resend_count"] = resent
        self._span = _start(request.method, kind=SpanKind.CLIENT, attributes=attributes)
        self._attached = _attached(trace.set_span_in_context(self._span))
        self._attached.__enter__()

    def end(self, status: int | None, request_id: str | None, error: BaseException | None) -> None:
        """End the span, with the status of the response or the error."""
        self._attached.__exit__(None, None, None)
        if isinstance(error, GeneratorExit):
            # As in `Operation.__del__`; the loop of this attempt is closed.
            return
        with _guarded():
            if status is not None:
                self._span.set_attribute("http.response.status_code", status)
            if request_id is not None:
                self._span.set_attribute("http.response.header.x-request-id", [request_id])
            if error is None and status is not None and status >= _FIRST_ERROR:
                self._span.set_attribute("error.type", str(status))
                self._span.set_status(StatusCode.ERROR)
        if error is not None:
            _fail(self._span, error)
        _end(self._span)


def note_wait(lease: Lease, seconds: float) -> None:
    """Add an event to the current span: a request has waited for the rate limits."""
    attributes: dict[str, str | float] = {
        f"{_NAME}.wait.seconds": seconds,
        f"{_NAME}.wait.reason": lease.reason,
    }
    with _guarded():
        trace.get_current_span().add_event(f"{_NAME}.wait", attributes)


def _fail(span: Span, error: BaseException) -> None:
    kind = type(error)
    # The message of another exception, such as one of a hook, may hold a secret.
    ours = isinstance(error, APIError | ClientUsageError)
    with _guarded():
        span.set_attribute("error.type", f"{kind.__module__}.{kind.__qualname__}")
        span.set_status(StatusCode.ERROR, str(error) if ours else None)


def _in_use(_: CallbackOptions) -> Iterable[Observation]:
    used = Counter[float]()
    for limits, bucket in shared_buckets():
        periods = (period for _, period in limits.windows)
        used.update(dict(zip(periods, bucket.statistics().in_use, strict=True)))
    return [Observation(count, {f"{_NAME}.window": period}) for period, count in used.items()]


def _in_flight(_: CallbackOptions) -> Iterable[Observation]:
    return [Observation(sum(bucket.statistics().in_flight for _, bucket in shared_buckets()))]


def _waiting(_: CallbackOptions) -> Iterable[Observation]:
    return [Observation(sum(bucket.statistics().waiting for _, bucket in shared_buckets()))]


def _paused(_: CallbackOptions) -> Iterable[Observation]:
    paused = (bucket.statistics().paused for _, bucket in shared_buckets())
    return [Observation(max(paused, default=0.0))]


def add_gauges() -> None:
    """Add the gauges of all buckets that the clients of this process use."""
    meter = metrics.get_meter(_NAME, __version__)
    for name, callback, unit, description in (
        ("in_use", _in_use, "{request}", "Requests that the API may still count in a window."),
        ("in_flight", _in_flight, "{request}", "Requests in flight."),
        ("waiting", _waiting, "{request}", "Requests that wait for the rate limits."),
        ("paused", _paused, "s", "Longest remaining pause after a response 429."),
    ):
        meter.create_observable_gauge(f"{_NAME}.limits.{name}", [callback], unit, description)


# Python imports a module once, and so each gauge is added once.
add_gauges()
