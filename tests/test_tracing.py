"""With OpenTelemetry, a call is a span with its attempts as children, and limits are gauges."""

from __future__ import annotations

import asyncio
import gc
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from digitalocean_projects import (
    APIConnectionError,
    APIError,
    APIResponseError,
    AsyncClient,
    Client,
    ClientUsageError,
    InventoryError,
    Limits,
    RateLimitError,
    RateLimitWaitError,
    RetryPolicy,
    ServerError,
    _session,
)
from digitalocean_projects._described import Request
from digitalocean_projects._session import telemetry, tracing
from digitalocean_projects._session.telemetry import add_gauges
from digitalocean_projects._session.tracing import Attempt, operation
from digitalocean_projects.testing import MockClock, faults

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.sdk.trace import ReadableSpan

    from digitalocean_projects.testing import Emulator
    from tests.conftest import SilentServer

    MakeClient = Callable[..., AsyncClient]

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_leaks")]

DROPLETS = [f"do:droplet:{number}" for number in range(30)]
RESOURCES = "/v2/projects/default/resources"
NO_DELAY = RetryPolicy(base_delay=0)
LISTING = "projects.list_resources"


class Spans:
    """The spans that have ended, and a tracer for the caller's own ones."""

    def __init__(self, provider: TracerProvider) -> None:
        self._exporter = InMemorySpanExporter()
        provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.tracer = provider.get_tracer("the caller's")

    @property
    def all(self) -> list[ReadableSpan]:
        return list(self._exporter.get_finished_spans())

    @property
    def attempts(self) -> list[ReadableSpan]:
        return [span for span in self.all if span.kind == SpanKind.CLIENT]

    @property
    def roots(self) -> list[str]:
        return [span.name for span in self.all if span.parent is None]

    def only(self, name: str) -> ReadableSpan:
        """Return the only span of this name."""
        (span,) = (span for span in self.all if span.name == name)
        return span

    def children(self, name: str) -> list[dict[str, Any]]:
        """Return the attributes of the children of the only span of this name."""
        context = self.only(name).context
        assert context is not None
        return [
            dict(span.attributes or {})
            for span in self.all
            if span.parent is not None and span.parent.span_id == context.span_id
        ]


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Spans:
    # The public function sets a provider only once in a process.
    provider = TracerProvider()
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
    return Spans(provider)


async def test_listing(make_either: MakeClient, emulator: Emulator, spans: Spans) -> None:
    """A listing of three pages with two retries is one span with five children."""
    emulator.seed(DROPLETS, default=True)
    emulator.respond(503, headers={"X-Request-Id": "id-1"})
    emulator.respond_raw(b"")
    async with make_either(retry=NO_DELAY) as client:
        await client.projects.list_resources(per_page=10).collect()
    assert [LISTING] == spans.roots
    first, second, *others = spans.children(LISTING)
    fixed = {
        "http.request.method": "GET",
        "server.address": "127.0.0.1",
        "server.port": int(emulator.url.rpartition(":")[2]),
        "url.full": f"{emulator.url}{RESOURCES}?page=1&per_page=10",
    }
    header = "http.response.header.x-request-id"
    answered = {"http.response.status_code": 503, "error.type": "503", header: ("id-1",)}
    assert {**fixed, **answered} == first
    lost = {
        "error.type": "digitalocean_projects.APIConnectionError",
        "http.request.resend_count": 1,
    }
    assert {**fixed, **lost} == second
    assert [200] * 3 == [each["http.response.status_code"] for each in others]
    assert [2, None, None] == [each.get("http.request.resend_count") for each in others]
    codes = [span.status.status_code for span in spans.all]
    assert [StatusCode.ERROR] * 2 + [StatusCode.UNSET] * 4 == codes
    assert not any(emulator.token in span.to_json() for span in spans.all)


async def test_iteration(make_either: MakeClient, emulator: Emulator, spans: Spans) -> None:
    """An iteration is one span below the caller's; spans of the loop's body are beside it."""
    emulator.seed(DROPLETS, default=True)
    async with make_either() as client:
        with spans.tracer.start_as_current_span("caller"):
            async for _ in client.projects.list_resources(per_page=10):
                spans.tracer.start_span("body").end()
    assert 3 == len(spans.children(LISTING))
    assert 31 == len(spans.children("caller"))
    assert ["caller"] == spans.roots


async def test_left_early(make_client: MakeClient, emulator: Emulator, spans: Spans) -> None:
    """The span of an iteration that was left ends with its last step."""
    emulator.seed(DROPLETS, default=True)
    async with make_client() as client:
        async for _ in client.projects.list_resources(per_page=10):
            break
        await asyncio.sleep(0)
    span, attempt = spans.only(LISTING), spans.attempts[-1]
    assert span.end_time is not None
    assert attempt.end_time is not None
    assert 0 <= span.end_time - attempt.end_time < 5e9


async def test_inventory_left_early(
    make_client: MakeClient, emulator: Emulator, spans: Spans
) -> None:
    """The span of an inventory that was left ends, without a run of the garbage collector."""
    emulator.seed(DROPLETS, name="shop")
    gc.disable()
    try:
        async with make_client() as client:
            async for _ in client.projects.resources_by_project():
                break
            await asyncio.sleep(0)
            assert spans.only("projects.resources_by_project").end_time is not None
    finally:
        gc.enable()


@pytest.mark.parametrize("closed", [False, True])
def test_collected(spans: Spans, caplog: pytest.LogCaptureFixture, *, closed: bool) -> None:
    """A call that is collected ends in its loop; in a closed loop, it has no span."""

    async def call() -> None:
        settings = client._manager.settings
        with operation("call"), Attempt(Request(method="GET", path="/"), settings, 0):
            await asyncio.sleep(0)

    async def begin() -> None:
        left.append(call())
        left[0].send(None)
        if not closed:
            del left[0]
            assert not trace.get_current_span().is_recording()
            await asyncio.sleep(0)

    left = list[Any]()
    client = AsyncClient("token")
    asyncio.run(begin())
    left.clear()
    assert ([] if closed else ["call"]) == [span.name for span in spans.all]
    assert not caplog.records


async def test_error(make_client: MakeClient, emulator: Emulator, spans: Spans) -> None:
    """A failed step ends its span with the error; the next step begins another one."""
    emulator.seed(DROPLETS, default=True)
    emulator.respond(500, {"message": "no luck"})
    async with make_client() as client:
        pages = client.projects.list_resources(per_page=30).pages()
        with pytest.raises(APIError):
            await anext(pages)
        await anext(pages)
    failed, good = (span for span in spans.all if span.name == LISTING)
    assert {"error.type": "digitalocean_projects.ServerError"} == failed.attributes
    assert (StatusCode.ERROR, StatusCode.UNSET) == (
        failed.status.status_code,
        good.status.status_code,
    )
    assert failed.status.description
    assert "no luck" in failed.status.description


async def test_unusable_page(make_client: MakeClient, emulator: Emulator, spans: Spans) -> None:
    """A page that can't be decoded fails the operation, after an attempt that has succeeded."""
    emulator.respond(200, {"resources": 1})
    async with make_client() as client:
        with pytest.raises(APIResponseError):
            await anext(client.projects.list_resources().pages())
    assert StatusCode.UNSET == spans.attempts[0].status.status_code
    assert StatusCode.ERROR == spans.only(LISTING).status.status_code


async def test_foreign_error(make_client: MakeClient, emulator: Emulator, spans: Spans) -> None:
    """The message of an error that isn't of this package is not shown: it may hold the token."""

    def fail() -> Any:
        raise OSError(emulator.token)

    async with make_client(session_factory=fail) as client:
        with pytest.raises(OSError, match=emulator.token):
            await client.projects.get_default()
    attempt, operation = spans.all
    assert ("GET", "projects.get_default") == (attempt.name, operation.name)
    assert {"error.type": "builtins.OSError"} == operation.attributes
    assert (None, None) == (attempt.status.description, operation.status.description)


async def test_cancelled(silent_server: SilentServer, spans: Spans) -> None:
    """A cancelled call ends its spans."""
    async with AsyncClient("token", base_url=silent_server.url) as client:
        task = asyncio.create_task(client.projects.get_default())
        with await asyncio.to_thread(silent_server.requested):
            task.cancel()
            await asyncio.wait([task])
    error = {"error.type": "asyncio.exceptions.CancelledError"}
    assert error == spans.only("projects.get_default").attributes
    assert error.items() <= spans.children("projects.get_default")[0].items()


async def test_operations(make_either: MakeClient, emulator: Emulator, spans: Spans) -> None:
    """Each call is one span, whatever it calls itself."""
    shop = emulator.seed(name="shop")
    emulator.seed(DROPLETS, default=True)
    async with make_either() as client:
        await client.projects.find("shop")
        await client.projects.list().first_page()
        await client.projects.reconcile(shop, DROPLETS[:2])
        await client.projects.wait_until_assigned(shop, DROPLETS[:2], timeout=60.0)
        await client.projects.resources_by_project().collect()
        await client.projects.unassign_resources(DROPLETS[:2])
        with pytest.raises(ValueError, match="must be a UUID"):
            await client.projects.get("shop")
        await client.request("GET", "/v2/droplets")
        await client.paginate("/v2/droplets", "droplets").collect()
    names = "find list reconcile wait_until_assigned resources_by_project unassign_resources get"
    expected = [f"projects.{name}" for name in names.split()]
    assert [*expected, "request", "paginate"] == spans.roots
    numbers = [len(spans.children(name)) for name in spans.roots]
    assert [1, 1, 2, 1, 3, 1, 0, 1, 1] == numbers


async def test_inventory_error(make_client: MakeClient, emulator: Emulator, spans: Spans) -> None:
    """An inventory that is incomplete is a failed operation."""
    emulator.fail(faults.Status(500), when=lambda request: "resources" in request.path)
    async with make_client() as client:
        with pytest.raises(InventoryError):
            await client.projects.resources_by_project().collect()
    assert StatusCode.ERROR == spans.only("projects.resources_by_project").status.status_code


async def test_prefetch(make_either: MakeClient, emulator: Emulator, spans: Spans) -> None:
    """Requests that are sent ahead are children of the iteration."""
    emulator.seed(DROPLETS, default=True)
    async with make_either() as client, client.projects.list_resources(per_page=3) as listing:
        async for _ in listing:
            pass
    assert 10 == len(spans.children(LISTING))
    assert [LISTING] == spans.roots


def test_threads(emulator: Emulator, spans: Spans) -> None:
    """The spans of a blocking client are below those of the calling thread."""
    with Client(emulator.token, base_url=emulator.url, limits=None) as client:
        with spans.tracer.start_as_current_span("caller"):
            client.projects.get_default()
        for _ in client.projects.list():
            break
        while "projects.list" not in spans.roots:
            time.sleep(0.001)
    assert [{}] == spans.children("caller")
    assert 1 == len(spans.children("projects.get_default"))


async def test_waits(make_client: MakeClient, spans: Spans) -> None:
    """A wait for the limits is an event of the operation; a refused wait is its error."""
    limits = Limits(windows=((1, 60.0),), margin=0, reserve=0)
    clock = MockClock(rate=0, autojump_threshold=0.02)
    async with make_client(limits=limits, clock=clock) as client:
        await client.projects.get_default()
        await client.projects.list().collect()
        with pytest.raises(RateLimitWaitError):
            await client.with_options(deadline=1.0).projects.find("shop")
    assert () == spans.only("projects.get_default").events
    (event,) = spans.only("projects.list").events
    expected = {
        "digitalocean_projects.wait.seconds": pytest.approx(60.0, abs=1),
        "digitalocean_projects.wait.reason": "1 request per 60 s",
    }
    assert ("digitalocean_projects.wait", expected) == (event.name, dict(event.attributes or {}))
    error = {"error.type": "digitalocean_projects.RateLimitWaitError"}
    assert error == spans.only("projects.find").attributes


def test_secret_in_path(emulator: Emulator, spans: Spans) -> None:
    """A token in a path is not in a span."""
    settings = AsyncClient(emulator.token, base_url=emulator.url)._manager.settings
    with Attempt(Request(method="GET", path=f"/{emulator.token}?page=1"), settings, 0):
        pass
    assert f"{emulator.url}/***?page=1" == (spans.all[0].attributes or {})["url.full"]


async def test_not_imported(
    make_either: MakeClient, spans: Spans, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without an import by the application, there is neither a span nor an import."""
    monkeypatch.delitem(sys.modules, "opentelemetry.trace")
    async with make_either() as client:
        await client.projects.get_default()
        async for _ in client.projects.list():
            pass
    assert "opentelemetry.trace" not in sys.modules
    assert [] == spans.all


async def test_old_opentelemetry(
    make_either: MakeClient,
    spans: Spans,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """With a version of OpenTelemetry that can't be used, requests have no spans."""
    monkeypatch.delattr(metrics, "Observation")
    monkeypatch.delattr(_session, "telemetry")
    monkeypatch.delitem(sys.modules, telemetry.__name__)
    tracing._loaded.cache_clear()
    try:
        async with make_either() as client:
            await client.projects.get_default()
            await client.projects.list().collect()
    finally:
        tracing._loaded.cache_clear()
    assert ["requests have no spans, since OpenTelemetry raised ImportError"] == caplog.messages
    assert [] == spans.all


class Failing(SpanProcessor):
    """A processor that raises an exception at the start or at the end of each span."""

    def __init__(self, moment: str) -> None:
        setattr(self, moment, self._fail)

    def _fail(self, *_: object, **__: object) -> None:
        raise ZeroDivisionError(TEXT)


TEXT = "a text of the processor"


@pytest.mark.usefixtures("spans")
@pytest.mark.parametrize("moment", ["on_start", "on_end"])
async def test_failing_processor(
    make_either: MakeClient,
    emulator: Emulator,
    caplog: pytest.LogCaptureFixture,
    moment: str,
) -> None:
    """A span processor that fails changes no outcome of a request, and is logged once."""
    shop = emulator.seed(name="shop")
    emulator.seed(DROPLETS, default=True)
    telemetry._report.cache_clear()
    provider: Any = trace.get_tracer_provider()
    provider.add_span_processor(Failing(moment))
    async with make_either() as client:
        await client.projects.assign_resources(shop, DROPLETS)
        emulator.fail(faults.Status(500))
        with pytest.raises(ServerError):
            await client.with_options(retry=RetryPolicy(attempts=1)).projects.get_default()
        async for _ in client.projects.list():
            pass
    assert len(DROPLETS) == len(emulator.resources(shop))
    text = "OpenTelemetry raised ZeroDivisionError, so spans of requests are missing or incomplete"
    assert [text] == caplog.messages


async def test_failing_provider(make_client: MakeClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """A provider that can't be created, such as one of the environment, is no provider."""

    def fail() -> None:
        raise RuntimeError

    monkeypatch.setattr(trace, "get_tracer_provider", fail)
    async with make_client() as client:
        await client.projects.get_default()


async def test_other_thread_of_steps(
    make_client: MakeClient, silent_server: SilentServer, spans: Spans
) -> None:
    """An iterator that two tasks use ends its span once."""
    async with make_client(base_url=silent_server.url) as client:
        pages = client.projects.list_resources().pages()
        task = asyncio.ensure_future(anext(pages))
        with await asyncio.to_thread(silent_server.requested):
            with pytest.raises(ClientUsageError):
                await anext(pages)
            task.cancel()
            await asyncio.wait([task])
    error = {"error.type": "digitalocean_projects.ClientUsageError"}
    assert error == spans.only(LISTING).attributes


async def test_no_connection(make_client: MakeClient, emulator: Emulator, spans: Spans) -> None:
    """A failed connection is an attempt, too."""
    emulator.stop()
    async with make_client() as client:
        with pytest.raises(APIConnectionError):
            await client.projects.get_default()
    assert 1 == len(spans.children("projects.get_default"))


async def test_gauges(
    make_client: MakeClient, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Gauges show the use of the limits of all clients, without their tokens."""
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader])
    # The public function sets a provider only once in a process.
    monkeypatch.setattr(metrics._internal, "_METER_PROVIDER", provider)
    add_gauges()
    clock = MockClock(rate=0)
    limits = Limits(windows=((3, 61.5), (9, 3661.5)))
    tokens = emulator.token, emulator.add_account().token
    clients = [make_client(token, limits=limits, clock=clock) for token in tokens]
    for client in clients:
        await client.projects.get_default()
    emulator.fail(faults.Status(429, retry_after=30))
    with pytest.raises(RateLimitError):
        await clients[0].projects.get_default()
    async with clients[1]._manager._bucket.lease():  # type: ignore[union-attr]  # it has limits
        found = values(reader)
    assert (4, 4) == (found["in_use", 61.5], found["in_use", 3661.5])
    # Buckets of earlier tests may be in use.
    assert 1 <= found["in_flight", None]
    assert 0 <= found["waiting", None]
    assert 30 <= found["paused", None]
    for client in clients:
        await client.aclose()
    provider.shutdown()


def values(reader: InMemoryMetricReader) -> dict[tuple[str, Any], float]:
    """Return the values of the gauges by their name and window."""
    data = reader.get_metrics_data()
    assert data is not None
    return {
        (
            metric.name.removeprefix("digitalocean_projects.limits."),
            (point.attributes or {}).get("digitalocean_projects.window"),
        ): point.value  # type: ignore[union-attr]  # a gauge has values
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
        for point in metric.data.data_points
    }
