"""The log records of a client, with fields, and its counters."""

from __future__ import annotations

import json
import logging
import os
import re
import subprocess
import sys
from contextlib import suppress
from contextvars import ContextVar
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import digitalocean_projects
from digitalocean_projects import (
    APIError,
    AssignmentTimeoutError,
    Limits,
    RateLimitWaitError,
    RetryPolicy,
)
from digitalocean_projects.testing import MockClock, faults

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from digitalocean_projects import AsyncClient
    from digitalocean_projects.testing import Emulator

    MakeClient = Callable[..., AsyncClient]

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_leaks")]

DROPLET = "do:droplet:1"
LISTING = "/v2/projects/default/resources?page=1&per_page=200"
ASSIGNMENT = "/v2/projects/default/resources"
GET = f"GET {LISTING}"
caller: ContextVar[str] = ContextVar("caller", default="nobody")


class Records(logging.Handler):
    """A log handler that keeps the records and their callers."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []
        self.callers: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)
        self.callers.append(caller.get())

    @property
    def messages(self) -> list[str]:
        return [re.sub(r"\d+ ms", "N ms", record.getMessage()) for record in self.records]

    @property
    def fields(self) -> list[dict[str, Any]]:
        """Return the fields of each record."""
        return [
            {name[3:]: value for name, value in vars(record).items() if name.startswith("do_")}
            for record in self.records
        ]


@pytest.fixture
def records() -> Iterator[Records]:
    handler, logger = Records(), logging.getLogger("digitalocean_projects")
    logger.addHandler(handler)
    level = logger.level
    logger.setLevel(logging.DEBUG)
    yield handler
    logger.setLevel(level)
    logger.removeHandler(handler)


@pytest.fixture
def clock() -> MockClock:
    return MockClock(rate=0, autojump_threshold=0.02)


async def ask(client: AsyncClient) -> None:
    await client.projects.list_resources().first_page()


def without_seconds(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if name != "seconds"}


async def test_log(make_either: MakeClient, emulator: Emulator, records: Records) -> None:
    """Each attempt leaves one DEBUG record with the request and its outcome."""
    emulator.respond(200, {"resources": []}, {"X-Request-Id": "id-1"})
    emulator.respond(404, headers={"X-Request-Id": emulator.token})
    emulator.respond_raw(b"")
    emulator.respond_raw(b"SSH-2.0\r\n")
    async with make_either() as client:
        for _ in range(4):
            with suppress(APIError):
                await ask(client)
    assert [
        f"GET {LISTING}: 200 in N ms, attempt 1, request id id-1",
        f"GET {LISTING}: 404 in N ms, attempt 1, request id ***",
        f"GET {LISTING}: APIConnectionError in N ms, attempt 1, request id None",
        f"GET {LISTING}: APIResponseError in N ms, attempt 1, request id None",
    ] == records.messages
    assert [logging.DEBUG] * 4 == [record.levelno for record in records.records]
    assert not any(emulator.token in repr(vars(record)) for record in records.records)


async def test_fields(make_either: MakeClient, emulator: Emulator, records: Records) -> None:
    """A record has the facts of its message as fields, with types of JSON."""
    emulator.respond(503, headers={"X-Request-Id": "id-1"})
    emulator.respond_raw(b"")
    emulator.respond(200, {"resources": []}, {"X-Request-Id": "id-3"})
    async with make_either(retry=RetryPolicy(base_delay=0)) as client:
        await client.projects.assign_resources("default", [DROPLET])
    attempts = [fields for fields in records.fields if "seconds" in fields]
    assert all(0 < fields["seconds"] < 5 for fields in attempts)
    asked = {"method": "POST", "path": ASSIGNMENT}
    answered = {**asked, "error": None}
    assert [
        {**answered, "attempt": 1, "status": 503, "request_id": "id-1"},
        {**asked, "attempt": 2, "status": None, "error": "APIConnectionError", "request_id": None},
        {**answered, "attempt": 3, "status": 200, "request_id": "id-3"},
    ] == [without_seconds(fields) for fields in attempts]
    assert json.dumps(records.fields)


async def test_part_sent_again(
    make_either: MakeClient, emulator: Emulator, records: Records
) -> None:
    """A retry for a service that is down is a further attempt."""
    emulator.fail(faults.NotAssigned("service_down"))
    emulator.seed([DROPLET])
    async with make_either(retry=RetryPolicy(base_delay=0)) as client:
        await client.projects.assign_resources("default", [DROPLET])
    attempts = [fields["attempt"] for fields in records.fields if "seconds" in fields]
    assert [1, 2] == attempts
    (warning,) = (record for record in records.records if record.levelno == logging.WARNING)
    assert (
        "attempt 1 of 4 failed, the next one starts at once: "
        f"service_down for 1 of the resources (POST {ASSIGNMENT})"
    ) == warning.getMessage()


async def test_retries(
    make_either: MakeClient, emulator: Emulator, clock: MockClock, records: Records
) -> None:
    """A retry is logged as a warning, with the status, the attempt and the delay."""
    logging.getLogger("digitalocean_projects").setLevel(logging.WARNING)
    emulator.respond(503, {"id": "server_error", "message": f"no {emulator.token}"})
    emulator.respond(429, headers={"Retry-After": "7"})
    emulator.respond_raw(b"")
    closed = f"{emulator.url} closed the connection without a complete response"
    policy = RetryPolicy(jitter=lambda maximum: maximum)
    async with make_either(clock=clock, retry=policy) as client:
        await ask(client)
        pause = client.statistics().waited - 0.5 - 2.0
    assert 7.0 <= pause <= 8.0
    assert [
        f"attempt 1 of 4 failed, the next one starts in 0.5 s: 503 server_error: no *** ({GET})",
        f"attempt 2 of 4 failed, the next one starts in {pause:.1f} s: 429 ({GET})",
        f"attempt 3 of 4 failed, the next one starts in 2.0 s: {closed} ({GET})",
    ] == records.messages
    assert {logging.WARNING} == {record.levelno for record in records.records}
    asked = {"method": "GET", "path": LISTING, "attempts": 4}
    assert [
        {**asked, "attempt": 1, "status": 503, "error": "ServerError", "delay": 0.5},
        {
            **asked,
            "attempt": 2,
            "status": 429,
            "error": "RateLimitError",
            "delay": pytest.approx(pause),
        },
        {**asked, "attempt": 3, "status": None, "error": "APIConnectionError", "delay": 2.0},
    ] == records.fields
    assert json.dumps(records.fields)


async def test_caller(make_either: MakeClient, records: Records) -> None:
    """A record is written in the caller's context."""
    async with make_either() as client:
        for name in ("one", "two"):
            caller.set(name)
            await client.projects.list_resources().collect()
    assert ["one", "two"] == records.callers


@pytest.mark.parametrize("level", [logging.INFO, logging.CRITICAL])
async def test_no_log(
    make_either: MakeClient, emulator: Emulator, records: Records, level: int
) -> None:
    """Above the level DEBUG there are no records of attempts."""
    logging.getLogger("digitalocean_projects").setLevel(level)
    emulator.respond(500)
    async with make_either() as client:
        with pytest.raises(APIError):
            await ask(client)
    assert [] == records.records


async def test_wait(make_either: MakeClient, clock: MockClock, records: Records) -> None:
    """A long wait for the limits is logged at its start, with its length and reason."""
    limits = Limits(windows=((1, 60.0),))
    async with make_either(clock=clock, limits=limits) as client:
        await ask(client)
        await ask(client)
    told = [fields for fields in records.fields if "wait" in fields]
    assert [{"wait": 61.0, "reason": "1 request per 60 s"}] == told
    assert [logging.DEBUG, logging.INFO, logging.DEBUG] == [
        record.levelno for record in records.records
    ]


async def test_counters(make_either: MakeClient, emulator: Emulator, clock: MockClock) -> None:
    """A client counts its requests, retries and waits, and those of its views."""
    emulator.respond(503, headers={"Retry-After": "7"})
    async with make_either(clock=clock, retry=RetryPolicy()) as client:
        await ask(client)
        counted = client.statistics()
        assert (2, 1, 7.0) == (counted.requests, counted.retries, counted.waited)
        view = client.with_options(limits=Limits(windows=((1, 60.0),)))
        await ask(view)
        await ask(view)
        counted = view.statistics()
        assert (2, 0, 61.0) == (counted.requests, counted.retries, counted.waited)
        assert counted.bucket is not None
        assert 61.0 == counted.bucket.waited
        view = view.with_options(limits=None)
        await ask(view)
        assert (1, 3) == (view.statistics().requests, counted.requests + 1)
        counted = client.statistics()
        assert (5, 1, 68.0) == (counted.requests, counted.retries, counted.waited)


async def test_looks_are_counted(
    make_either: MakeClient, emulator: Emulator, clock: MockClock
) -> None:
    """The time between two polls counts as waited."""
    emulator.seed([DROPLET], default=True)
    async with make_either(clock=clock) as client:
        with pytest.raises(AssignmentTimeoutError):
            await client.projects.wait_until_assigned("default", ["do:droplet:2"], timeout=20.0)
        assert 20.0 == client.statistics().waited == clock.time()


async def test_waits_that_were_cut_short(
    make_either: MakeClient, emulator: Emulator, clock: MockClock
) -> None:
    """A wait that is refused at once is not counted."""
    limits = Limits(windows=((1, 60.0),))
    async with make_either(clock=clock, limits=limits, deadline=30.0) as client:
        await ask(client)
        with pytest.raises(RateLimitWaitError):
            await ask(client)
        assert (1, 0.0) == (client.statistics().requests, client.statistics().waited)
    assert 1 == len(emulator.requests)


@pytest.mark.process
def test_retry_in_a_script(emulator: Emulator) -> None:
    """A script without a configuration of logging prints its retries, unless it silences them."""
    fails = cycle([True, False])
    emulator.respond(503, headers={"Retry-After": "0"}, times=None, when=lambda _: next(fails))
    script = (
        "import logging, sys\n"
        "from digitalocean_projects import Client, RetryPolicy\n"
        "for level in logging.NOTSET, logging.ERROR:\n"
        "    logging.getLogger('digitalocean_projects').setLevel(level)\n"
        "    retry = RetryPolicy(base_delay=0)\n"
        "    with Client(sys.argv[1], base_url=sys.argv[2], retry=retry) as client:\n"
        "        client.projects.get_default()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, emulator.token, emulator.url],
        capture_output=True,
        check=True,
        text=True,
        timeout=60,
    )
    expected = "attempt 1 of 4 failed, the next one starts at once: 503 (GET /v2/projects/default)"
    assert [expected] == done.stderr.splitlines()
    assert 4 == len(emulator.requests)


@pytest.mark.process
def test_variable(emulator: Emulator) -> None:
    """DIGITALOCEAN_PROJECTS_LOG prints the records from a level on; a wrong level is a warning."""
    script = (
        "import os, importlib, warnings\n"
        "import digitalocean_projects as package\n"
        "with package.Client() as client:\n"
        "    client.projects.get_default()\n"
        "os.environ['DIGITALOCEAN_PROJECTS_LOG'] = 'debug ' + os.environ['DIGITALOCEAN_TOKEN']\n"
        "with warnings.catch_warnings(record=True) as caught:\n"
        "    importlib.reload(package)\n"
        "print(*(warning.message for warning in caught))\n"
    )
    account = {"DIGITALOCEAN_TOKEN": emulator.token, "DIGITALOCEAN_API_URL": emulator.url}
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        check=True,
        env={**os.environ, **account, "DIGITALOCEAN_PROJECTS_LOG": "Debug"},
        text=True,
        timeout=60,
    )
    assert " digitalocean_projects DEBUG GET /v2/projects/default: 200 in " in done.stderr
    assert 1 == len(done.stderr.splitlines())
    expected = (
        "DIGITALOCEAN_PROJECTS_LOG must be debug, info, warning or error, got 'debug ***'; "
        "nothing is printed\n"
    )
    assert expected == done.stdout


def test_documented_fields() -> None:
    """The documentation of the package names the attributes of all records, and no other ones."""
    folder = Path(digitalocean_projects.__file__).parent
    code = "".join(path.read_text("utf-8") for path in folder.rglob("*.py"))
    documented = re.findall(r"`(do_\w+)`", digitalocean_projects.__doc__ or "")
    assert set(re.findall(r'"(do_\w+)": ', code)) == set(documented)
