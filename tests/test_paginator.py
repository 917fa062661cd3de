"""Paginators: their requests and their results."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from digitalocean_projects import APIResponseError, NotFoundError, PaginationError
from digitalocean_projects.testing import Emulator

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable

    from digitalocean_projects import AsyncClient, Resource

    MakeClient = Callable[..., AsyncClient]

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_leaks")]


@pytest.fixture(params=[False, True], ids=["waves", "ahead"])
def ahead(request: pytest.FixtureRequest) -> bool:
    """True to prefetch."""
    return bool(request.param)


def droplets(*numbers: int) -> list[str]:
    return [f"do:droplet:{number}" for number in numbers]


async def read(items: AsyncIterable[Resource], most: int | None = None) -> list[str]:
    """Return the URNs of the items, at most `most` of them."""
    urns: list[str] = []
    async for item in items:
        urns.append(str(item.urn))
        if len(urns) == most:
            break
    return urns


async def take(iterator: AsyncIterator[Resource]) -> str:
    return str((await anext(iterator)).urn)


def asked(emulator: Emulator) -> list[int]:
    """Return the numbers of the requested pages."""
    return [int(request.query["page"]) for request in emulator.requests]


def document(*numbers: int, **links: object) -> dict[str, Any]:
    return {
        "resources": [{"urn": urn} for urn in droplets(*numbers)],
        "links": {"pages": {name: link for name, link in links.items() if link}},
    }


def script(emulator: Emulator, documents: Iterable[object]) -> None:
    """Serve the n-th document as page n, and an empty page after the last one."""
    pages = {str(number): document for number, document in enumerate(documents, 1)}
    for number, content in pages.items():
        emulator.respond(200, content, when=page_is(number), times=None)
    emulator.respond(200, document(), when=lambda r: r.query["page"] not in pages, times=None)


def page_is(number: object) -> Callable[[Any], bool]:
    return lambda request: bool(request.query.get("page") == str(number))


def on_page(emulator: Emulator, number: int, *actions: Callable[[], object]) -> None:
    """Run the next of these functions before each response to a request for the page."""
    left = iter(actions)

    def act(request: Any) -> bool:
        if page_is(number)(request):
            next(left, int)()
        return False

    emulator.respond(500, when=act, times=None)


async def test_order(emulator: Emulator, make_either: MakeClient) -> None:
    """Resources are returned in the API's order, each once, and each page is requested once."""
    urns = droplets(*range(45))
    project_id = emulator.seed(urns)
    async with make_either() as client:
        paginator = client.projects.list_resources(project_id, per_page=4, concurrency=3)
        assert ([], None) == (emulator.requests, paginator.settled)
        assert urns == await read(paginator)
        assert list(range(1, 13)) == sorted(asked(emulator))
        assert paginator.settled
        emulator.forget_requests()
        assert urns == [str(resource.urn) for resource in await paginator.collect()]
        assert list(range(1, 13)) == sorted(asked(emulator))
        assert paginator.settled
    paths = {f"/v2/projects/{project_id}/resources"}
    assert paths == {request.path for request in emulator.requests}
    assert [{"4"}] == [{request.query["per_page"] for request in emulator.requests}]


async def test_empty(emulator: Emulator, make_either: MakeClient) -> None:
    """An empty listing has one page, without resources."""
    async with make_either() as client:
        paginator = client.projects.list_resources()
        assert [] == await read(paginator)
        assert [()] == [page.items async for page in paginator.pages()]
        assert [] == await paginator.collect()
    assert [1, 1, 1] == asked(emulator)


async def test_first_page(emulator: Emulator, make_either: MakeClient) -> None:
    """The first page takes one request."""
    emulator.seed(droplets(*range(9)), default=True)
    headers = {"ratelimit-limit": "5000", "ratelimit-remaining": "7", "ratelimit-reset": "1"}
    async with make_either() as client:
        paginator = client.projects.list_resources(per_page=2)
        page = await paginator.first_page()
        emulator.respond(200, document(), headers)
        limited = await paginator.first_page()
    assert (droplets(0, 1), 1, 9) == (
        [str(item.urn) for item in page.items],
        page.number,
        page.total,
    )
    assert page.rate_limit is None
    assert limited.rate_limit is not None
    assert (None, 7) == (limited.total, limited.rate_limit.remaining)
    assert ([1, 1], None) == (asked(emulator), paginator.settled)


async def test_max_pages(emulator: Emulator, make_either: MakeClient) -> None:
    """The allowed pages are returned; the error is raised when the next page is requested."""
    emulator.seed(droplets(*range(7)), default=True)
    async with make_either() as client:
        paginator = client.projects.list_resources(per_page=1, concurrency=3, max_pages=2)
        pages = paginator.pages()
        assert [1, 2] == [(await anext(pages)).number for _ in range(2)]
        for _ in range(2):
            with pytest.raises(
                PaginationError, match="no page after page 2, but there is one; pass"
            ):
                await anext(pages)
        await client.projects.list_resources(per_page=1, max_pages=1).first_page()
    assert [1, 2, 1] == asked(emulator)


async def test_pages_from(emulator: Emulator, make_either: MakeClient) -> None:
    """Pages can be read from any number on, also from a number past the end."""
    emulator.seed(droplets(*range(7)), default=True)
    async with make_either() as client:
        paginator = client.projects.list_resources(per_page=2, max_pages=2)
        pages = [page async for page in paginator.pages(3)]
        past = [page async for page in paginator.pages(start=9)]
    assert [3, 4] == [page.number for page in pages]
    assert droplets(4, 5, 6) == [str(item.urn) for page in pages for item in page.items]
    assert [(9, ())] == [(page.number, page.items) for page in past]
    assert paginator.settled is None
    assert [3, 4, 9] == sorted(asked(emulator))


@pytest.mark.parametrize(("start", "error"), [(0, ValueError), ("1", TypeError), (True, TypeError)])
async def test_pages_from_nowhere(
    emulator: Emulator, make_either: MakeClient, start: Any, error: type[Exception]
) -> None:
    """An invalid page number is refused at once."""
    async with make_either() as client:
        with pytest.raises(error, match="start must be "):
            client.projects.list_resources().pages(start)
    assert [] == emulator.requests


async def test_iterations(emulator: Emulator, make_either: MakeClient) -> None:
    """Each iteration reads the listing again, and concurrent iterations don't mix."""
    urns = droplets(*range(7))
    emulator.seed(urns, default=True)
    async with make_either() as client:
        paginator = client.projects.list_resources(per_page=2, concurrency=2)
        one, other = aiter(paginator), aiter(paginator)
        pairs = [(await take(one), await take(other)) for _ in urns]
        emulator.seed(["do:app:1"], default=True)
        later = await read(paginator)
        ends = [await anext(iterator, None) for iterator in (one, one, other)]
    assert ([(urn, urn) for urn in urns], [None] * 3) == (pairs, ends)
    assert ["do:app:1", *urns] == later


@pytest.mark.parametrize("total", [None, -1, "14", 14.0, True, [], 1, 13, 10**12])
@pytest.mark.parametrize("last", [None, "?page=1", "?page=1000000000000"])
async def test_false_hints(
    emulator: Emulator, make_client: MakeClient, total: object, last: object
) -> None:
    """Totals and last pages are hints; a wrong one costs at most a wave or window of requests."""
    pages = [
        document(2 * n, 2 * n + 1, next=f"?page={n + 2}" if n < 6 else None, last=last)
        for n in range(7)
    ]
    script(emulator, [page | {"meta": {"total": total}} for page in pages])
    async with make_client() as client:
        paginator = client.projects.list_resources(concurrency=3)
        assert droplets(*range(14)) == await read(paginator)
        assert max(asked(emulator)) <= 1 + 3 + 2 * 3
        assert droplets(*range(14)) == [str(item.urn) for item in await paginator.collect()]
        assert max(asked(emulator)) <= 7 + 2 * 3 - 1


async def test_smaller_pages_than_asked_for(emulator: Emulator, make_either: MakeClient) -> None:
    """The number of pages is computed from the first page."""
    pages = [document(2 * n, 2 * n + 1, next=True) for n in range(6)] + [document(12)]
    script(emulator, [page | {"meta": {"total": 13}} for page in pages])
    async with make_either() as client:
        paginator = client.projects.list_resources(per_page=200)
        assert droplets(*range(13)) == await read(paginator)
    assert list(range(1, 8)) == sorted(asked(emulator))


async def test_filtered_listing(emulator: Emulator, make_either: MakeClient) -> None:
    """Hidden resources make pages short or empty, and hide no other resource."""
    apps = [f"do:app:{n}" for n in range(6)]
    emulator.seed([*apps, *droplets(1), *apps[:1], *droplets(2, 3), "do:app:x"], default=True)
    emulator.seed(["do:volume:1", *droplets(0), "do:volume:2", "do:volume:3"], default=True)
    async with make_either(emulator.add_token(["project:read", "droplet:read"])) as client:
        paginator = client.projects.list_resources(per_page=2, concurrency=2)
        sizes = [len(page.items) async for page in paginator.pages()]
        assert droplets(0, 1, 2, 3) == await read(paginator)
        assert droplets(0, 1, 2, 3) == [str(item.urn) for item in await paginator.collect()]
        assert ([1, 0, 0, 0, 0, 2, 1], True) == (sizes, paginator.settled)


@pytest.mark.parametrize("link", ["{url}/v2/x?page=2", "//u:p@{host}?page=2", "{url}", "/x?page=2"])
async def test_links_are_not_followed(
    emulator: Emulator, make_client: MakeClient, link: str
) -> None:
    """A link may name any host and path: the next page is requested from the original URL."""
    with Emulator() as other:
        link = link.format(url=other.url, host=other.url.removeprefix("http://"))
        script(emulator, [document(1, next=link, last=link), document(2)])
        async with make_client() as client:
            assert droplets(1, 2) == await read(client.projects.list_resources())
        assert [] == other.requests
    assert {"/v2/projects/default/resources"} == {request.path for request in emulator.requests}


@pytest.mark.parametrize(
    ("pages", "reason", "requests"),
    [
        ([document(1, next="?page=1")], "the next page, got page 1", 1),
        ([document(1, next="?page=3")], "the next page, got page 3", 1),
        (
            [document(1, next="?page=2"), document(2, next="?page=1")],
            "the next page, got page 1",
            2,
        ),
        # `collect` reads again, twice.
        ([document(1, next=True)] * 9, "page 2 has only repeated items", 9),
        (
            [document(1, next=True), document(2, next=True)] * 5,
            "page 3 has only repeated items",
            18,
        ),
        ([document(n, next=True) for n in range(99)], "max_pages allows no page after", 9),
        ([document(next=True)] * 99, "max_pages allows no page after", 9),
    ],
)
async def test_pages_that_make_no_listing(
    emulator: Emulator, make_client: MakeClient, pages: list[object], reason: str, requests: int
) -> None:
    """Pages that don't advance or don't end are an error after a bounded number of requests."""
    script(emulator, pages)
    async with make_client() as client:
        paginator = client.projects.list_resources(concurrency=2, max_pages=9)
        for reading in (read(paginator), paginator.collect()):
            emulator.forget_requests()
            with pytest.raises(PaginationError, match=reason):
                await reading
            assert len(asked(emulator)) <= requests
        assert paginator.settled is None


@pytest.mark.parametrize("strict", [False, True])
async def test_items_that_move_back(
    emulator: Emulator, make_either: MakeClient, *, strict: bool
) -> None:
    """If items move to the front, and a page has only repeats, `collect` reads again."""
    emulator.seed(droplets(*range(5)), default=True)

    def move() -> None:
        emulator.seed(droplets(4))
        emulator.seed(droplets(4), default=True)

    on_page(emulator, 2, move)
    async with make_either() as client:
        paginator = client.projects.list_resources(per_page=1, concurrency=1)
        items = await paginator.collect(strict=strict)
        assert droplets(4, 0, 1, 2, 3) == [str(item.urn) for item in items]
        assert paginator.settled is True


@pytest.mark.parametrize("ends", [0, 2])
async def test_readings_that_do_not_end(
    emulator: Emulator, make_client: MakeClient, ends: int
) -> None:
    """`collect` returns the items of the reading that ended, whichever it was."""
    for reading in range(3):
        second = document(2) if reading == ends else document(1, next="?page=3")
        # A last page other than the announced one is a sign of a change.
        last = None if ends else "?page=3"
        emulator.respond(200, document(1, next="?page=2", last=last), when=page_is(1), times=1)
        emulator.respond(200, second, when=page_is(2), times=1)
    async with make_client() as client:
        paginator = client.projects.list_resources(concurrency=1)
        assert droplets(1, 2) == [str(item.urn) for item in await paginator.collect()]
        assert (ends == 2) is paginator.settled


async def test_arrival(emulator: Emulator, make_either: MakeClient) -> None:
    """An addition in front during a reading makes repeats, which are dropped and detected."""
    emulator.seed(droplets(*range(6)), default=True)
    on_page(emulator, 2, partial(emulator.seed, ["do:app:1"], default=True))
    async with make_either() as client:
        paginator = client.projects.list_resources(per_page=2, concurrency=1)
        assert droplets(*range(6)) == await read(paginator)
        assert paginator.settled is False
        assert ["do:app:1", *droplets(*range(6))] == await read(paginator)
        assert paginator.settled is True


@pytest.mark.parametrize("concurrency", [1, 4])
async def test_assign_while_listing(
    emulator: Emulator, make_either: MakeClient, concurrency: int
) -> None:
    """A loop's body may assign enough to fill pages, and still gets every earlier resource."""
    urns, come = droplets(*range(8000)), [f"do:app:{n}" for n in range(400)]
    project_id = emulator.seed(urns)
    emulator.seed(come, default=True)
    got = []
    async with make_either() as client:
        paginator = client.projects.list_resources(project_id, concurrency=concurrency)
        async for page in paginator.pages():
            got += [str(item.urn) for item in page.items]
            if len(got) == 3400:
                (await client.projects.assign_resources(project_id, come)).raise_for_failed()
    assert (urns, False) == (got, paginator.settled)


async def test_departure(emulator: Emulator, make_either: MakeClient) -> None:
    """A removal during a reading hides another resource, and is detected by a full reading only."""
    emulator.seed(droplets(*range(6)), default=True)
    on_page(emulator, 2, partial(emulator.seed, droplets(0)))
    async with make_either() as client:
        paginator = client.projects.list_resources(per_page=2, concurrency=1)
        assert droplets(0, 1, 3, 4, 5) == await read(paginator)
        assert paginator.settled is False
        assert [2, 3] == [page.number async for page in paginator.pages(2)]
        assert paginator.settled is False


@pytest.mark.parametrize("concurrency", [1, 3])
@pytest.mark.parametrize("strict", [False, True])
async def test_collect_reads_again(
    emulator: Emulator, make_either: MakeClient, concurrency: int, *, strict: bool
) -> None:
    """A reading without a change is the result by itself, without items that left before."""
    emulator.seed(droplets(*range(6)), default=True)
    leaving = partial(emulator.seed, droplets(0))
    on_page(emulator, 2, leaving, partial(emulator.seed, ["do:app:1"], default=True))
    async with make_either() as client:
        paginator = client.projects.list_resources(per_page=2, concurrency=concurrency)
        urns = [str(item.urn) for item in await paginator.collect(strict=strict)]
        assert (["do:app:1", *droplets(1, 2, 3, 4, 5)], True) == (urns, paginator.settled)
    assert 3 == asked(emulator).count(1)


async def test_collect_unites(emulator: Emulator, make_either: MakeClient) -> None:
    """If no reading is settled, the result is the items of all, in the order of the last one."""
    emulator.seed(droplets(*range(6)), default=True)
    on_page(emulator, 2, *(partial(emulator.seed, droplets(number)) for number in (0, 5, 1)))
    async with make_either() as client:
        paginator = client.projects.list_resources(per_page=2, concurrency=1)
        urns = [str(item.urn) for item in await paginator.collect()]
    assert [*droplets(1, 2, 4), *droplets(0, 3, 5)] == [*urns[:3], *sorted(urns[3:])]
    assert (False, 3) == (paginator.settled, asked(emulator).count(1))


@pytest.mark.parametrize(
    "pages",
    [
        [document(1, 2, last="?page=5")],
        [document(1, next="?page=2", last="?page=5"), document(2, last="?page=5")],
        [document(1, next="?page=2", last="?page=5"), document(2)],
        [document(1, next="?page=2"), document(2, last="?page=5")],
        [document(1, next="?page=2"), document(2, last="?page=1")],
        [document(1, next="?page=2", last="?page=1"), document(2, last="?page=1")],
        [document(1, next="?page=2", last="?page=2"), document(2, last="?page=3")],
        [document(1, 2) | {"meta": {"total": 201}}],
    ],
)
async def test_end_that_contradicts(
    emulator: Emulator, make_either: MakeClient, pages: list[object], *, ahead: bool
) -> None:
    """A listing that ends at another page than announced is never settled."""
    script(emulator, pages)
    async with make_either() as client:
        paginator = client.projects.list_resources(concurrency=2)
        if ahead:
            await paginator.__aenter__()
        assert droplets(1, 2) == await read(paginator)
        assert paginator.settled is False
        emulator.forget_requests()
        assert droplets(1, 2) == [str(item.urn) for item in await paginator.collect()]
        assert (False, 3) == (paginator.settled, asked(emulator).count(1))
        with pytest.raises(PaginationError, match="the listing changed while it was read"):
            await paginator.collect(strict=True)
        await paginator.aclose()


async def test_end_that_contradicts_once(emulator: Emulator, make_either: MakeClient) -> None:
    """If a reading ends before the last page, the listing is read again as a whole."""
    urns = droplets(*range(10))
    emulator.seed(urns, default=True)
    emulator.respond(200, document(2, 3, last="?page=5"), when=page_is(2))
    async with make_either() as client:
        paginator = client.projects.list_resources(per_page=2, concurrency=1)
        assert urns == [str(item.urn) for item in await paginator.collect(strict=True)]
        assert (True, 2) == (paginator.settled, asked(emulator).count(1))


@pytest.mark.parametrize("links", [[], "x", 5, {"pages": []}, {"pages": {"next": False}}])
async def test_garbled_links(emulator: Emulator, make_either: MakeClient, links: object) -> None:
    """Links of a wrong type may hide a next page, so the listing is never settled."""
    emulator.respond(200, {"resources": [{"urn": "do:droplet:1"}], "links": links}, times=None)
    async with make_either() as client:
        paginator = client.projects.list_resources()
        assert droplets(1) == [str(item.urn) for item in await paginator.collect()]
        assert paginator.settled is False
        with pytest.raises(PaginationError, match="the listing changed while it was read"):
            await paginator.collect(strict=True)


async def test_missing_links(emulator: Emulator, make_either: MakeClient) -> None:
    """A full page is followed by another one if the total is larger, even without links."""
    script(
        emulator,
        [{**document(*numbers), "meta": {"total": 5}} for numbers in ((0, 1), (2, 3), (4,))],
    )
    async with make_either() as client:
        paginator = client.projects.list_resources(per_page=2)
        assert droplets(*range(5)) == await read(paginator)
        resources = await paginator.collect(strict=True)
        assert droplets(*range(5)) == [str(item.urn) for item in resources]
        emulator._site.script.entries.clear()
        same = {**document(0, 1), "meta": {"total": 5}}
        emulator.respond(200, same, times=None)
        with pytest.raises(PaginationError, match=r"page 2 .* lacks a link to a next page"):
            await read(paginator)


async def test_pages_past_the_end(emulator: Emulator, make_either: MakeClient) -> None:
    """Reading from a later page, or past the end, doesn't change `settled`."""
    emulator.seed(droplets(*range(6)), default=True)
    async with make_either() as client:
        paginator = client.projects.list_resources(per_page=2)
        await read(paginator)
        for start in (2, 3, 9):
            numbers = [page.number async for page in paginator.pages(start)]
            assert ([*range(start, 4)] or [start], True) == (numbers, paginator.settled)


async def test_collect_gives_up(emulator: Emulator, make_either: MakeClient) -> None:
    """After three readings with a change there is no fourth, and `strict` raises an error."""
    emulator.seed(droplets(*range(6)), default=True)
    arrivals = [partial(emulator.seed, [f"do:app:{n}"], default=True) for n in range(6)]
    on_page(emulator, 2, *arrivals)
    async with make_either() as client:
        paginator = client.projects.list_resources(per_page=2, concurrency=1)
        urns = [str(item.urn) for item in await paginator.collect()]
        assert ["do:app:1", "do:app:0", *droplets(*range(6))] == urns
        assert (False, 3) == (paginator.settled, asked(emulator).count(1))
        with pytest.raises(PaginationError, match="the listing changed while it was read"):
            await paginator.collect(strict=True)
        assert (False, 6) == (paginator.settled, asked(emulator).count(1))
        await paginator.collect(strict=True)
        assert (True, 7) == (paginator.settled, asked(emulator).count(1))


@pytest.mark.parametrize(("max_pages", "readings"), [(4, 1), (7, 1), (8, 2), (11, 2), (12, 3)])
async def test_collect_keeps_within_max_pages(
    emulator: Emulator, make_either: MakeClient, max_pages: int, readings: int
) -> None:
    """The listing isn't read again if that would take more than `max_pages` requests."""
    emulator.seed(droplets(*range(6)), default=True)
    on_page(emulator, 2, *(partial(emulator.seed, [f"do:app:{n}"], default=True) for n in range(3)))
    async with make_either() as client:
        paginator = client.projects.list_resources(per_page=2, concurrency=1, max_pages=max_pages)
        assert set(droplets(*range(6))) <= {str(item.urn) for item in await paginator.collect()}
        assert (readings, False) == (asked(emulator).count(1), paginator.settled)


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (404, b"", NotFoundError),
        (200, b"<html>", APIResponseError),
        (200, document(1, next="?page=1"), PaginationError),
    ],
)
@pytest.mark.parametrize("kind", ["pages", "items"])
async def test_failed_page(
    emulator: Emulator,
    make_either: MakeClient,
    status: int,
    body: object,
    error: type[Exception],
    *,
    ahead: bool,
    kind: str,
) -> None:
    """The pages before a failed one are returned, then its error, and then the page itself."""
    emulator.seed(droplets(*range(7)), default=True)
    emulator.respond(status, body, when=page_is(4), times=3)
    async with make_either() as client:
        paginator = client.projects.list_resources(per_page=1, concurrency=3)
        with pytest.raises(error, match="page=4"):
            await paginator.collect()
        if ahead:
            await paginator.__aenter__()
        iterator: AsyncIterator[Any] = paginator.pages() if kind == "pages" else aiter(paginator)
        got = [await anext(iterator) for _ in range(3)]
        for _ in range(2):
            with pytest.raises(error, match="page=4") as caught:
                await anext(iterator)
            assert error is caught.type
        assert paginator.settled is None
        got += [value async for value in iterator]
        await paginator.aclose()
    items = [item for value in got for item in getattr(value, "items", [value])]
    assert droplets(*range(7)) == [str(item.urn) for item in items]


async def test_response_of_a_page(emulator: Emulator, make_either: MakeClient) -> None:
    """A page has the request id and the headers of its response, without the token."""
    ids = "0f1b7b0e-3c1c-4a55-9f0e-3d1c4a559f0e", f"2 {emulator.token}"
    for number, text in enumerate(ids, 1):
        links = {"next": "?page=2"} if number == 1 else {}
        emulator.respond(200, document(number, **links), {"X-Request-ID": text, "X-Echo": text})
    async with make_either() as client:
        paginator = client.projects.list_resources(concurrency=1)
        first, second = [page async for page in paginator.pages()]
    assert (ids[0], ids[0]) == (first.request_id, first.headers["x-echo"])
    assert ("2 ***", ids[1]) == (second.request_id, second.headers["X-ECHO"])
    assert emulator.token not in repr([second, second.headers])
