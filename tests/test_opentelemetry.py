"""OpenTelemetry's instrumentation of aiohttp shows the requests of both clients."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import trace
from opentelemetry.instrumentation.aiohttp_client import (
    AioHttpClientInstrumentor,
    create_trace_config,
)
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from digitalocean_projects import APIConnectionError, Client, RetryPolicy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from opentelemetry.sdk.trace import ReadableSpan

    from digitalocean_projects import AsyncClient
    from digitalocean_projects.testing import Emulator

    MakeClient = Callable[..., AsyncClient]

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_leaks")]

DROPLETS = [f"do:droplet:{number}" for number in range(30)]
RESOURCES = "/v2/projects/default/resources"


class Spans:
    """An exporter with its own provider, which keeps the ended spans."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        self.provider = TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.tracer = self.provider.get_tracer("the caller's")

    @property
    def finished(self) -> list[ReadableSpan]:
        return list(self._exporter.get_finished_spans())

    @property
    def requests(self) -> list[ReadableSpan]:
        return [span for span in self.finished if span.kind == SpanKind.CLIENT]

    def told(self, name: str) -> list[Any]:
        """Return an attribute of each request."""
        return [(span.attributes or {}).get(name) for span in self.requests]


@pytest.fixture
def spans() -> Spans:
    return Spans()


@pytest.fixture(params=["instrumentor", "trace_configs"])
def make_traced(
    request: pytest.FixtureRequest, spans: Spans, make_client: MakeClient
) -> Iterator[MakeClient]:
    """Return a function that creates a traced client of either kind."""
    instrumentor = AioHttpClientInstrumentor()
    if request.param == "instrumentor":
        instrumentor.instrument(tracer_provider=spans.provider)
        yield make_client
        instrumentor.uninstrument()
    else:
        config = create_trace_config(tracer_provider=spans.provider)
        yield lambda **options: make_client(trace_configs=[config], **options)


async def test_spans(make_traced: MakeClient, emulator: Emulator, spans: Spans) -> None:
    """Each request is a span below the caller's, sends its id, and doesn't show the token."""
    emulator.seed(DROPLETS, default=True)
    async with make_traced() as client:
        with spans.tracer.start_as_current_span("sort") as caller:
            await client.projects.list_resources(per_page=10).collect()
            await client.projects.assign_resources("default", DROPLETS[:1])
    assert ["GET", "GET", "GET", "POST"] == [span.name for span in spans.requests]
    pages = [f"{emulator.url}{RESOURCES}?page={number}&per_page=10" for number in (1, 2, 3)]
    assert {*pages, f"{emulator.url}{RESOURCES}"} == {*spans.told("http.url")}
    assert [200] * 4 == spans.told("http.status_code")
    assert {caller.get_span_context().span_id} == parents(spans)
    sent = {request.headers["traceparent"].split("-")[2] for request in emulator.requests}
    assert sent == {
        trace.format_span_id(span.context.span_id) for span in spans.requests if span.context
    }
    assert not any(emulator.token in span.to_json() for span in spans.finished)


def parents(spans: Spans) -> set[int | None]:
    return {span.parent and span.parent.span_id for span in spans.requests}


async def test_retries(make_traced: MakeClient, emulator: Emulator, spans: Spans) -> None:
    """Each attempt has its own span, and a failed one has its error without the token."""
    emulator.respond(503)
    emulator.respond_raw(b"")
    async with make_traced(retry=RetryPolicy(base_delay=0)) as client:
        with spans.tracer.start_as_current_span("look") as caller:
            await client.projects.list_resources().first_page()
    assert [503, None, 200] == spans.told("http.status_code")
    assert [StatusCode.ERROR, StatusCode.ERROR, StatusCode.UNSET] == [
        span.status.status_code for span in spans.requests
    ]
    (event,) = spans.requests[1].events
    assert "exception" == event.name
    assert {caller.get_span_context().span_id} == parents(spans)
    assert not any(emulator.token in span.to_json() for span in spans.finished)


async def test_no_connection(make_traced: MakeClient, emulator: Emulator, spans: Spans) -> None:
    """A failed connection is a span, too."""
    emulator.stop()
    async with make_traced() as client:
        with pytest.raises(APIConnectionError):
            await client.projects.list_resources().first_page()
    (span,) = spans.requests
    assert (StatusCode.ERROR, None) == (span.status.status_code, span.parent)
    assert emulator.token not in span.to_json()


def test_threads(emulator: Emulator, spans: Spans) -> None:
    """The spans of each thread of a blocking client are below the thread's own."""
    config = create_trace_config(tracer_provider=spans.provider)

    def look(project_id: str) -> tuple[int, str]:
        with spans.tracer.start_as_current_span("look") as caller:
            client.projects.get(project_id)
            return caller.get_span_context().span_id, f"{emulator.url}/v2/projects/{project_id}"

    projects = [emulator.seed() for _ in range(8)]
    with (
        Client(emulator.token, base_url=emulator.url, trace_configs=[config]) as client,
        ThreadPoolExecutor(4) as pool,
    ):
        expected = [*pool.map(look, projects)]
    found = [span.parent and span.parent.span_id for span in spans.requests]
    assert {*expected} == {*zip(found, spans.told("http.url"), strict=True)}
