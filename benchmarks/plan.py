"""The plan: what is measured, of whom, and how often."""

from __future__ import annotations

import math

import attrs

from .job import Job

FLOOR = "aiohttp + orjson, to dicts"
ASYNC = "this package, async"
BLOCKING = "this package, blocking"
_HTTPX = "httpx + orjson, to dicts"
_OFFICIAL_AIO = "pydo, async"
_OFFICIAL = "pydo, blocking"
_COMMUNITY = "python-digitalocean"
_MODULES = {
    FLOOR: "floor",
    ASYNC: "ours",
    BLOCKING: "ours_blocking",
    _HTTPX: "over_httpx",
    _OFFICIAL_AIO: "official_aio",
    _OFFICIAL: "official",
    _COMMUNITY: "community",
}
# What else than this package's own requirements a module of `contestants` imports.
_NEEDS = {
    "over_httpx": "httpx",
    "official_aio": "pydo",
    "official": "pydo",
    "community": "digitalocean",
    "buckets": "aiolimiter",
}
_ITERATE, _READ_AHEAD, _LIMITED = ": iterate", ": read ahead", ": with limits"
_WIDER = ": 32 at once"
_PAGES_OF_20 = ", pages of 20"
# It is done on Redis.
SHARED = "ours:acquire_shared"
_EMPTY = "an empty script"

_NO_LIMITS = "Without limits: the API's would rule."
_LONG = ((0.3, 9), (0.5, 5), (2.0, 3), (5.0, 2), (math.inf, 1))
_TOO_LONG = 5.0


@attrs.frozen(kw_only=True)
class Row:
    """One contestant's work.

    Args:
        title: Who, and how.
        job: What it does in a process that is measured from within.
        command: Else, the arguments of a Python that is measured from without.
        needs: A module that is to be installed for it.
        expected: How much is to come of it.
        times: What the figures are multiplied by, because only a part is done.
        rounds: How often it is done.
    """

    title: str
    job: Job | None = None
    command: tuple[str, ...] = ()
    needs: str | None = None
    expected: int = 0
    times: int = 1
    rounds: int = 1


@attrs.frozen(kw_only=True)
class Work:
    """What several contestants do.

    Args:
        key: Its name in the results.
        title: What is done.
        rows: Who does it; the others are compared with the first one.
        per: What the figures are divided by, and what that is called.
        beyond: Whether the first one's figures are taken off the others'.
        note: What else is to be known.
    """

    key: str
    title: str
    rows: tuple[Row, ...]
    per: tuple[int, str] = (1, "")
    beyond: bool = False
    note: str = ""


@attrs.frozen(kw_only=True)
class Sizes:
    """How much of everything.

    Args:
        rounds: How often a row is done; 1, or listings are done as often as their time allows.
        listings: How many resources are listed, and the latencies in milliseconds.
        shown: How many resources the listing has of which all ways to list are measured.
        streamed: How many resources are looked at, and not kept.
        requests: How many small requests follow one another.
        assigned: How many resources are assigned.
        decoded: How often 40,000 resources are decoded.
        acquired: How many tokens are taken.
    """

    rounds: int
    listings: tuple[tuple[int, tuple[float, ...]], ...]
    shown: int
    streamed: int
    requests: int
    assigned: int
    decoded: int
    acquired: int


FULL = Sizes(
    rounds=5,
    listings=tuple((total, (0, 20, 100)) for total in (1_000, 40_000, 200_000)),
    shown=40_000,
    streamed=1_000_000,
    requests=1_000,
    assigned=10_000,
    decoded=5,
    acquired=5_000,
)
QUICK = Sizes(
    rounds=1,
    listings=((1_000, (20,)),),
    shown=1_000,
    streamed=20_000,
    requests=50,
    assigned=500,
    decoded=1,
    acquired=200,
)


def works(sizes: Sizes) -> list[Work]:
    """All that is measured."""
    return [
        *(
            _listing(sizes, total, latency)
            for total, latencies in sizes.listings
            for latency in latencies
        ),
        _small_pages(sizes),
        _streaming(sizes),
        _requests(sizes),
        _assigning(sizes),
        _many(sizes),
        _decoding(sizes, kept=False),
        _decoding(sizes, kept=True),
        _acquiring(sizes),
        _importing(sizes),
        _starting(sizes),
    ]


def _row(title: str, call: str, job: Job, rounds: int, *, expected: int, times: int = 1) -> Row:
    """A row that is measured from within."""
    needs = _NEEDS.get(call.partition(":")[0])
    return Row(
        title=title,
        job=attrs.evolve(job, call=call),
        needs=needs,
        expected=expected,
        times=times,
        # The others are so far behind that little more would be known.
        rounds=rounds if needs is None else min(2, rounds),
    )


def _rounds(sizes: Sizes, seconds: float) -> int:
    """How often to do what takes so long: what mostly waits differs little."""
    return next(most for end, most in _LONG if seconds < end) if sizes.rounds > 1 else 1


def _listing(sizes: Sizes, total: int, latency: float) -> Work:
    job = Job(call="", total=total, latency=latency)
    seconds = total / 200 / 16 * latency / 1000 + total * 5e-6
    rows = [
        _row(title, f"{_MODULES[title]}:collect", job, _rounds(sizes, seconds), expected=total)
        for title in (FLOOR, ASYNC, BLOCKING, _HTTPX)
    ]
    if total == sizes.shown:
        ways = [
            (ASYNC + _ITERATE, "ours:iterate"),
            (ASYNC + _READ_AHEAD, "ours:read_ahead"),
            (BLOCKING + _ITERATE, "ours_blocking:iterate"),
        ]
        if latency:
            ways.append((ASYNC + _WIDER, "ours:collect_wider"))
        else:
            ways.append((ASYNC + _LIMITED, "ours:collect_limited"))
        rows += [_row(*way, job, _rounds(sizes, seconds), expected=total) for way in ways]
    # The largest ones are left to whoever is done with them in seconds.
    for title in (_OFFICIAL_AIO, _OFFICIAL, _COMMUNITY) if total <= sizes.shown else ():
        for per_page in (200,) if title == _COMMUNITY else (200, 20):
            rows.append(_page_by_page(sizes, title, attrs.evolve(job, per_page=per_page)))
    return Work(
        key=f"list-{total}-{latency:g}",
        title=f"Listing {total:,} resources, {latency:g} ms away",
        rows=tuple(rows),
        note=_NO_LIMITS,
    )


def _page_by_page(sizes: Sizes, title: str, job: Job) -> Row:
    """A row of who asks for a page after the other: if that takes too long, of a part of it."""
    seconds = job.total / job.per_page * (job.latency / 1000 + 0.001)
    times = 1
    while seconds / times > _TOO_LONG:
        times *= 10
    total = job.total // times
    return _row(
        title + (_PAGES_OF_20 if job.per_page != Job(call="").per_page else ""),
        f"{_MODULES[title]}:collect",
        attrs.evolve(job, total=total),
        1 if job.latency else _rounds(sizes, seconds / times),
        expected=total,
        times=times,
    )


def _small_pages(sizes: Sizes) -> Work:
    job = Job(call="", total=sizes.shown, per_page=20)
    return Work(
        key="list-small-pages",
        title=f"Listing {sizes.shown:,} resources in pages of 20, 0 ms away",
        rows=tuple(
            _row(title, f"{_MODULES[title]}:collect", job, sizes.rounds, expected=job.total)
            for title in (FLOOR, ASYNC, BLOCKING)
        ),
        note=_NO_LIMITS,
    )


def _streaming(sizes: Sizes) -> Work:
    job = Job(call="", total=sizes.streamed)
    calls = {
        FLOOR: "floor:iterate",
        ASYNC + _ITERATE: "ours:iterate",
        ASYNC + _READ_AHEAD: "ours:read_ahead",
        BLOCKING + _ITERATE: "ours_blocking:iterate",
        _OFFICIAL_AIO: "official_aio:iterate",
    }
    return Work(
        key="stream",
        title=f"Looking at {sizes.streamed:,} resources without keeping them, 0 ms away",
        rows=tuple(
            _row(title, call, job, _rounds(sizes, job.total * 3e-6), expected=job.total)
            for title, call in calls.items()
        ),
        note=_NO_LIMITS,
    )


def _requests(sizes: Sizes) -> Work:
    job = Job(call="", count=sizes.requests)
    return Work(
        key="get",
        title="Asking for a project, again and again, 0 ms away",
        rows=tuple(
            _row(title, f"{module}:get", job, sizes.rounds, expected=job.count)
            for title, module in _MODULES.items()
        ),
        per=(job.count, "request"),
        note=_NO_LIMITS,
    )


def _assigning(sizes: Sizes) -> Work:
    job = Job(call="", count=sizes.assigned)
    return Work(
        key="assign",
        title=f"Assigning {sizes.assigned:,} resources, a hundred at a time, 0 ms away",
        rows=tuple(
            _row(title, f"{module}:assign", job, sizes.rounds, expected=job.count)
            for title, module in _MODULES.items()
        ),
        note=_NO_LIMITS,
    )


def _many(sizes: Sizes) -> Work:
    job = Job(call="", total=sizes.shown // 8)
    calls = {
        f"{ASYNC}, 8 tasks": "ours:many",
        f"{BLOCKING}, 8 threads": "ours_blocking:many",
        f"{_OFFICIAL}, 8 threads": "official:many",
    }
    return Work(
        key="many",
        title=f"Listing {job.total:,} resources 8 times at once, one client, 0 ms away",
        rows=tuple(
            _row(title, call, job, sizes.rounds, expected=8 * job.total)
            for title, call in calls.items()
        ),
        note=_NO_LIMITS,
    )


def _decoding(sizes: Sizes, *, kept: bool) -> Work:
    job = Job(call="", count=sizes.decoded)
    count = 40_000 * sizes.decoded
    way = "keep" if kept else "drop"
    calls = {
        "orjson, to dicts": f"floor:decode_and_{way}",
        "this package": f"ours:decode_and_{way}",
        "json, to dicts": f"floor:decode_plainly_and_{way}",
    }
    return Work(
        key=f"decode-and-{way}",
        title="Decoding pages of 200 resources"
        + (", and keeping 40,000 in a list" if kept else ", and dropping them"),
        rows=tuple(
            _row(title, call, job, sizes.rounds, expected=count) for title, call in calls.items()
        ),
        per=(count, "resource"),
    )


def _acquiring(sizes: Sizes) -> Work:
    job = Job(call="", count=sizes.acquired)
    calls = {
        "aiolimiter": "buckets:acquire",
        "this package": "ours:acquire",
        "this package, shared through Redis": SHARED,
    }
    return Work(
        key="acquire",
        title="Taking a token that is there",
        rows=tuple(
            _row(title, call, job, sizes.rounds, expected=job.count)
            for title, call in calls.items()
        ),
        per=(job.count, "request"),
    )


def _importing(sizes: Sizes) -> Work:
    imports = {
        "aiohttp, orjson": ("import aiohttp, orjson", None),
        "digitalocean_projects": ("import digitalocean_projects", None),
        "digitalocean_projects, AsyncClient": (
            "from digitalocean_projects import AsyncClient",
            None,
        ),
        "digitalocean_projects, Client": ("from digitalocean_projects import Client", None),
        "httpx, orjson": ("import httpx, orjson", "httpx"),
        "pydo.aio": ("from pydo.aio import Client", "pydo"),
        "pydo": ("from pydo import Client", "pydo"),
        "digitalocean": ("import digitalocean", "digitalocean"),
    }
    rows = (
        Row(title=title, command=("-c", code), needs=needs, rounds=sizes.rounds)
        for title, (code, needs) in imports.items()
    )
    return Work(
        key="import",
        title="Importing",
        rows=(Row(title=_EMPTY, command=("-c", "pass"), rounds=sizes.rounds), *rows),
        beyond=True,
        note="Without what an empty script takes.",
    )


def _starting(sizes: Sizes) -> Work:
    program = ("-m", "digitalocean_projects")
    commands = {
        _EMPTY: ("-c", "pass"),
        "digitalocean-projects --version": (*program, "--version"),
        "digitalocean-projects list": (*program, "list"),
    }
    return Work(
        key="start",
        title="The command, from its start to its end; the list has 200 resources",
        rows=tuple(
            Row(title=title, command=command, rounds=sizes.rounds)
            for title, command in commands.items()
        ),
        beyond=True,
        note="Without what an empty script takes.",
    )
