"""The benchmarks measure what they say, of those contestants that are installed here."""

from __future__ import annotations

import asyncio
import inspect
import json
import socket
import zlib
from importlib import import_module
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError
from urllib.request import urlopen

import attrs
import pytest

from benchmarks import account, guard
from benchmarks.__main__ import main
from benchmarks.contestant import perform
from benchmarks.job import Job
from benchmarks.plan import ASYNC, BLOCKING, FLOOR, FULL, QUICK, SHARED, Row, Work, works
from benchmarks.race import Race, Result, Spread, WrongResultError
from benchmarks.redis_server import redis_server
from benchmarks.report import Chapter, Report, report
from benchmarks.server import Server
from benchmarks.table import seconds, tables
from digitalocean_projects import Client

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

COUNT = 450
NAMES = [account.urn(index) for index in range(COUNT)]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server() as server:
        yield server


def result_of(job: Job) -> Any:
    module, name = job.call.split(":")
    function = getattr(import_module(f"benchmarks.contestants.{module}"), name)
    result = function(job)
    return asyncio.run(result) if inspect.iscoroutine(result) else result


def jobs_here() -> list[Job]:
    """A job for each function that the plan names and that needs nothing else."""
    rows = [row for work in works(FULL) for row in work.rows if row.job and not row.needs]
    calls = {row.job.call for row in rows if row.job}
    return [Job(call=call) for call in sorted(calls - {SHARED})]


@pytest.mark.parametrize("job", jobs_here(), ids=lambda job: job.call)
def test_contestant(server: Server, job: Job) -> None:
    """Each does all of its work: the same as the others."""
    count = 1 if "decode" in job.call else 3
    job = attrs.evolve(job, origin=server.origin, total=COUNT, per_page=20, count=count)
    result = result_of(job)
    if job.call.endswith(("get", "acquire")):
        assert count == result
    elif "decode" in job.call:
        assert 40_000 == result
    elif job.call.endswith(("iterate", "read_ahead")):
        assert COUNT == result
    else:
        names = [str(item["urn"] if isinstance(item, dict) else item.urn) for item in result]
        assert (count if job.call.endswith("assign") else COUNT) == len(set(names))
        assert names[:3] == NAMES[:3]


@pytest.mark.redis
def test_contestant_on_redis() -> None:
    with redis_server() as url:
        assert url is not None
        assert 3 == result_of(Job(call=SHARED, origin=url, count=3))


def test_perform(server: Server) -> None:
    """What is told of a listing are its cost, size and checksum."""
    told = perform(Job(call="floor:collect", origin=server.origin, total=COUNT, latency=5))
    assert COUNT == told["count"]
    assert zlib.crc32("\n".join(NAMES).encode()) == told["checksum"]
    # Two waves, each 5 ms late.
    assert told["wall"] >= 0.01
    assert told["cpu"] > 0
    assert told["memory"] >= 0


def test_perform_blocking(server: Server) -> None:
    told = perform(Job(call="ours_blocking:iterate", origin=server.origin, total=COUNT))
    assert (COUNT, 0) == (told["count"], told["checksum"])


def test_pages(server: Server) -> None:
    """A page is what the API sends, whatever its size."""
    url = f"{server.origin}/{COUNT}/0/v2/projects/{account.PROJECT}/resources"
    with urlopen(f"{url}?page=2&per_page=50") as answer:  # noqa: S310 - it is ours
        page = json.load(answer)
    assert NAMES[50:100] == [resource["urn"] for resource in page["resources"]]
    assert COUNT == page["meta"]["total"]
    links = {"first": 1, "prev": 1, "next": 3, "last": 9}
    assert {name: f"{url}?page={number}&per_page=50" for name, number in links.items()} == page[
        "links"
    ]["pages"]
    with Client("t", base_url=f"{server.origin}/0/0", limits=None) as client:
        assert [] == client.projects.list_resources().collect()


def test_no_page(server: Server) -> None:
    with pytest.raises(HTTPError, match="404"):
        urlopen(f"{server.origin}/1/0/v2/droplets")  # noqa: S310 - it is ours


def test_request_in_parts(server: Server) -> None:
    """A request is answered when all of it is there."""
    port = int(server.origin.rpartition(":")[2])
    body = b'{"resources": ["do:droplet:1"]}'
    head = f"POST /1/0/v2/projects/p/resources HTTP/1.1\r\nContent-Length: {len(body)}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for part in (head.encode(), body[:9], body[9:]):
            connection.sendall(part)
        assert b"assigned_at" in connection.recv(4096)


def test_plan() -> None:
    """Each work has its own key, and compares different rows."""
    for sizes in (FULL, QUICK):
        plan = works(sizes)
        assert len(plan) == len({work.key for work in plan})
        for work in plan:
            assert len(work.rows) == len({row.title for row in work.rows})


def test_slow_contestants_do_a_part() -> None:
    """Who would take minutes does a part, and the figures are multiplied by as much."""
    work = next(work for work in works(FULL) if work.key == "list-40000-20")
    times = {row.title: (row.expected, row.times) for row in work.rows if row.times > 1}
    assert {
        "pydo, async, pages of 20": (4_000, 10),
        "pydo, blocking, pages of 20": (4_000, 10),
    } == times


@pytest.mark.process
@pytest.mark.slow
def test_all(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The command measures, prints tables and keeps the results, and shows them again."""
    main(["--quick", "--only", "list-small-pages", "--output", str(tmp_path)])
    printed = capsys.readouterr().out
    assert all(title in printed for title in (FLOOR, ASYNC, BLOCKING))
    [chapter] = Report.load_from(tmp_path / "results.json").chapters
    assert [1, 1, 1] == [result.rounds for result in chapter.results]
    assert all(result.cpu and result.cpu.median > 0 for result in chapter.results)
    main(["--show", "--output", str(tmp_path)])
    assert printed == capsys.readouterr().out


def work_of(*rows: Row) -> Work:
    return Work(key="some", title="Some", rows=rows, beyond=True, note="A note.")


@pytest.mark.process
def test_race(server: Server, tmp_path: Path) -> None:
    """Who isn't installed has no figures, and who did a part has those of the whole."""
    rows = [
        Row(title="none", command=("-c", "pass"), rounds=2),
        Row(title="part", command=("-c", "pass"), times=1000),
        Row(title="missing", command=("-c", "pass"), needs="no_such_module"),
        Row(title="no redis", job=Job(call=SHARED)),
    ]
    told: list[str] = []
    work = work_of(*rows)
    results = Race(server.origin, tell=told.append).run(work)
    assert [2, 1, 0, 0] == [result.rounds for result in results]
    assert ["Some: none (1/2)", "Some: part (1/1)", "Some: none (2/2)"] == told
    none, part, missing, _ = results
    assert none.wall
    assert part.wall
    assert 10 * none.wall.high < part.wall.median
    assert None is missing.wall
    found = report([Chapter.of(work, results)], QUICK)
    found.save(tmp_path / "results.json")
    assert found == Report.load_from(tmp_path / "results.json")
    text = tables(found)
    assert "* part: measured on 0, times 1000." in text
    assert "missing: is not installed." in text
    assert "A note." in text


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (Row(title="fewer", command=("-c", "pass"), expected=1), "Some: fewer: 0, not 1"),
        (Row(title="fails", command=("-c", "1 / 0")), "ZeroDivisionError"),
    ],
    ids=["fewer", "fails"],
)
def test_race_is_void(server: Server, row: Row, reason: str) -> None:
    """Nothing is told of who does something else."""
    with pytest.raises(WrongResultError, match=reason):
        Race(server.origin).run(work_of(row))


def test_race_is_void_for_other_names(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """As many resources, but others."""
    checksums = iter([1.0, 2.0])
    monkeypatch.setattr(Race, "measure", lambda *_: {"checksum": next(checksums)})
    with pytest.raises(WrongResultError, match="not all have found the same"):
        Race(server.origin).run(work_of(Row(title="one"), Row(title="other")))


def test_growth_of_listings() -> None:
    """A report tells what CPU time grows by, when enough was listed."""
    chapters = [
        Chapter.of(work, [result_for(row) for row in work.rows])
        for work in works(FULL)
        if work.key.startswith("list-")
    ]
    found = report(chapters, FULL)
    assert [FLOOR, ASYNC, BLOCKING] == [line.title for line in found.growth]
    assert pytest.approx((1e-4, 2e-6, 2e-6)) == (
        found.growth[1].per_request,
        *(slope.per_resource for slope in found.growth[1].slopes),
    )
    lines = [line.split() for line in tables(found).splitlines()]
    assert [*ASYNC.split(), "100", "µs", "2", "µs", "2", "µs"] in lines


def result_for(row: Row) -> Result:
    """A result that is a sum of what resources, requests and a client cost, for one of us."""
    assert row.job
    cost = 2e-6 * row.job.total + 1e-4 * (row.job.total // row.job.per_page) + 5e-3
    spread = Spread.of([cost if row.title == ASYNC else 2 * cost])
    return Result(title=row.title, rounds=1, wall=spread, cpu=spread)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (12.345, "12.3 s"),
        (0.9999, "1000 ms"),
        (0.0123, "12.3 ms"),
        (4.56e-5, "45.6 µs"),
        (2.5e-7, "0.25 µs"),
        (1234.0, "1234 s"),
    ],
)
def test_seconds(value: float, text: str) -> None:
    assert text == seconds(value)


@pytest.mark.process
def test_guard(capsys: pytest.CaptureFixture[str]) -> None:
    """The guard counts what is over its threshold, twice."""
    fast = Row(title="empty", command=("-c", "pass"))
    thresholds = [
        guard.Threshold(title="good", row=fast, base=fast, most=1000.0),
        guard.Threshold(title="bad", row=fast, base=fast, most=0.001),
    ]
    assert 1 == guard.main(thresholds, turns=1)
    lines = capsys.readouterr().out.splitlines()
    assert [False, True] == [line.endswith("!") for line in lines[3:5]]
