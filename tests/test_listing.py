"""Listings: the requests for pages, and the interpretation of any pages."""

from __future__ import annotations

import json
from operator import index
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from digitalocean_projects import APIResponseError, AsyncClient, PaginationError, Resource
from digitalocean_projects._codec.json import PageDocument
from digitalocean_projects._described import Request
from digitalocean_projects._messages import Secret
from digitalocean_projects._paginator.cursor import Reading
from digitalocean_projects._session.transport import Answer

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

    from digitalocean_projects._paginator.listing import Listing

REQUEST = Request(method="GET", path="/v2/things?page=7")
NO_LINKS: list[object] = [{"next": None}, {"next": ""}, {"next": 0}, {"prev": "?page=2"}]

counts = st.integers(1, 8)
numbers = st.none() | st.integers(0, 10) | st.just(10**14)


def page(
    *items: Any,
    more: bool = True,
    next: int | None = None,  # noqa: A002 - the link's name
    last: int | None = None,
    total: int | None = None,
) -> PageDocument[Any]:
    return PageDocument(items=list(items), more=more, next=next, last=last, total=total)


def reading(
    key: Callable[[Any], Hashable] = index,
    *,
    start: int = 1,
    per_page: int = 200,
    memory: int | None = None,
    widest: int = 4,
    max_pages: int = 100,
) -> Reading[Any]:
    return Reading(
        key,
        start=start,
        per_page=per_page,
        memory=memory,
        widest=widest,
        max_pages=max_pages,
    )


def read(state: Reading[Any], *pages: PageDocument[Any]) -> list[tuple[Any, ...]]:
    return [state.accept(document, REQUEST) for document in pages]


@pytest.fixture
def listing() -> Listing[Resource]:
    client = AsyncClient("token", base_url="http://127.0.0.1:1")
    return client.projects.list_resources(per_page=7)._listing


def answer(document: object) -> Answer:
    return Answer(
        request=REQUEST, status=200, headers={}, body=json.dumps(document).encode(), secret=Secret()
    )


@pytest.mark.parametrize("number", [1, 2, 10**12])
def test_request(listing: Listing[Resource], number: int) -> None:
    """A page is requested by its number."""
    path = f"/v2/projects/default/resources?page={number}&per_page=7"
    expected = Request(method="GET", path=path, scopes=("project:read",))
    assert expected == listing.request(number)


def test_decode(listing: Listing[Resource]) -> None:
    """The key of a resource is its URN."""
    document = listing.read(answer({"resources": [{"urn": "do:app:1"}]}))
    assert page(Resource(urn="do:app:1"), more=False) == document
    assert ["do:app:1"] == [listing.key(item) for item in document.items]


def test_decode_other_documents(listing: Listing[Resource]) -> None:
    """A page without a list of items is an error that names the request."""
    with pytest.raises(APIResponseError) as caught:
        listing.read(answer({}))
    assert f"resources is missing ({REQUEST})" == str(caught.value)


@pytest.mark.parametrize(
    "links",
    [None, {}, [], "next", 0, *({"pages": pages} for pages in (None, {}, [], "next", *NO_LINKS))],
)
def test_no_next_link(listing: Listing[Resource], links: object) -> None:
    """A page without a next link is the last. Links of a wrong type are a sign of a change."""
    state: Reading[Resource] = reading(listing.key)
    document = listing.read(answer({"resources": [], "links": links}))
    read(state, document)
    assert (2, True, document.garbled) == (state.number, state.ended, state.changed)


@pytest.mark.parametrize(
    "link",
    [
        "https://attacker.example/?page=2",
        "//user:secret@attacker.example?page=2",
        "/v2/projects?per_page=1&page=2#page=9",
        "?page=2",
        "page=9",
        "?page=-1",
        "?page=",
        "?page=1e3",
        "?page=\N{ARABIC-INDIC DIGIT THREE}",
        f"?page={'9' * 5000}",
        "\x00",
        "http://[",
        2,
        -1.5,
        True,
        ["?page=2"],
        {"page": 2},
    ],
)
def test_next_link(listing: Listing[Resource], link: object) -> None:
    """A next link means only that another page exists; its text is ignored."""
    state: Reading[Resource] = reading(listing.key)
    links = {"pages": {"next": link, "last": link}}
    read(state, listing.read(answer({"resources": [{"urn": "do:app:1"}], "links": links})))
    garbled = not isinstance(link, str)
    assert (2, False, garbled) == (state.number, state.ended, state.changed)


def test_order() -> None:
    """Items come in the order of the pages, up to a page without a next one."""
    state = reading()
    pages = page(3, 1, next=2), page(2, next=3)
    assert [(3, 1), (2,)] == read(state, *pages)
    assert (3, False) == (state.number, state.ended)
    assert [(0,)] == read(state, page(0, more=False))
    assert (4, True, False) == (state.number, state.ended, state.changed)


def test_repeats() -> None:
    """An item with a known key is dropped, even on the same page."""
    state = reading(str.lower)
    pages = page("b", "a", "A"), page("B", "c"), page("C", "a", more=False)
    assert [("b", "A"), ("c",), ()] == read(state, *pages)


def test_short_and_empty_pages() -> None:
    """A short or empty page is not the end."""
    state = reading()
    pages = page(), page(1, 2), page(3), page(), page(), page(4), page(more=False)
    assert [(), (1, 2), (3,), (), (), (4,), ()] == read(state, *pages)
    assert (True, False) == (state.ended, state.changed)


@pytest.mark.parametrize(
    ("memory", "last"), [(0, (1, 3, 4, 6)), (1, (1, 3, 6)), (2, (1, 6)), (3, (6,)), (None, (6,))]
)
def test_memory(memory: int | None, last: tuple[int, ...]) -> None:
    """Repeats are dropped within a number of pages, and later ones are returned again."""
    state = reading(memory=memory)
    assert last == read(state, page(1), page(2, 3), page(4), page(1, 3, 4, 6))[-1]


def test_many_repeats() -> None:
    """Remembered keys are compared once, for any number of repeats."""
    state = reading()
    read(state, page(1, 2), page(2, 3))
    seen = state._seen
    assert [(4,), (5,), ()] == read(state, page(1, 4), page(5, 5), page())
    assert seen is state._seen


@pytest.mark.parametrize("memory", [1, 2, 3])
def test_memory_of_repeats(memory: int) -> None:
    """A repeat is remembered with the later of its pages."""
    state = reading(memory=memory)
    pages = page(1, 2), page(2, 3), page(2, 4), page(2, 5), page(2, 6, more=False)
    assert [(1, 2), (3,), (4,), (5,), (6,)] == read(state, *pages)


def test_memory_is_bounded() -> None:
    """Only the keys of the last few pages are kept."""
    state = reading(memory=3, max_pages=1000)
    kept = []
    for number in range(1000):
        read(state, page(2 * number, 2 * number + 1, more=number < 999))
        kept.append((len(state._seen), len(state._remembered)))
    assert [(2, 1), (4, 2), *[(6, 3)] * 998] == kept


@pytest.mark.parametrize("next_number", [0, 1, 2, 4, 10**14])
def test_next_page_is_another(next_number: int) -> None:
    """A page that names a wrong next page is an error."""
    state = reading()
    read(state, page(1, next=2))
    with pytest.raises(PaginationError) as caught:
        read(state, page(2, next=next_number))
    expected = f"page 2 must link to the next page, got page {next_number}"
    assert (expected, REQUEST.path) == (caught.value.reason, caught.value.path)


@pytest.mark.parametrize("last", [0, 2, 5, 10**14])
def test_end_before_last_page(last: int) -> None:
    """A page without a next one is the end, for any announced last page."""
    state = reading()
    assert [(1,)] == read(state, page(1, more=False, next=None, last=last))
    assert (True, last > 1) == (state.ended, state.changed)


@pytest.mark.parametrize("pages", [[(1, 2)] * 2, [(1, 2), (3,), (2, 1)], [(1,), (), (2,), (1, 1)]])
def test_cycle(pages: list[tuple[int, ...]]) -> None:
    """A page with a next one but without new items is an error."""
    state = reading()
    *before, repeated = (page(*items) for items in pages)
    read(state, *before)
    with pytest.raises(PaginationError, match=f"page {len(pages)} has only repeated items"):
        read(state, repeated)
    assert [()] == read(state, page(*pages[-1], more=False))


@pytest.mark.parametrize("total", [2, 1, 0, None])
def test_repeats_that_nothing_explains(total: int | None) -> None:
    """If the total didn't grow or is unknown, a page of repeats is an error at once."""
    state = reading()
    read(state, page(1, 2, total=2))
    with pytest.raises(PaginationError, match="page 2 has only repeated items"):
        read(state, page(1, 2, total=total))


def test_repeats_by_arrivals() -> None:
    """As many repeats in a row as the total has grown by are accepted, and more are an error."""
    state = reading()
    assert [(1, 2), ()] == read(state, page(1, 2, total=6), page(1, 2, total=8))
    assert state.changed
    with pytest.raises(PaginationError, match="page 3 has only repeated items"):
        read(state, page(1, 2, total=8))
    assert [(3, 4), ()] == read(state, page(3, 4, total=8), page(3, 4, total=8))


def test_total_that_comes_late() -> None:
    """A total that the first page lacks doesn't count as growth."""
    state = reading()
    read(state, page(1, 2))
    with pytest.raises(PaginationError, match="page 2 has only repeated items"):
        read(state, page(1, 2, total=100))


@pytest.mark.parametrize("start", [1, 7])
@pytest.mark.parametrize("items", [lambda number: [number], lambda _: []], ids=["full", "empty"])
def test_endless(items: Callable[[int], list[int]], start: int) -> None:
    """Page `max_pages` is read, and a later one isn't requested."""
    state = reading(start=start, max_pages=5)
    for number in range(5):
        state.check_allowed(lambda _: REQUEST)
        read(state, page(*items(number), last=10**12))
        assert start + 4 == state.limit
    with pytest.raises(PaginationError) as caught:
        state.check_allowed(lambda _: REQUEST)
    last = f"max_pages allows no page after page {start + 4}, but there is one"
    expected = f"{last}; pass a larger max_pages"
    assert (expected, REQUEST.path) == (caught.value.reason, caught.value.path)


def test_errors_take_nothing_in() -> None:
    """A refused page can be read again, and may be valid then."""
    state = reading(max_pages=3)
    read(state, page(1, total=4))
    for wrong in (page(2, next=9, total=7), page(1, 1)):
        with pytest.raises(PaginationError):
            read(state, wrong)
    assert (2, False, False) == (state.number, state.ended, state.changed)
    assert [(2, 3), (4,)] == read(state, page(2, 3, total=4), page(4, total=4, more=False))
    assert (True, False) == (state.ended, state.changed)


@pytest.mark.parametrize(
    ("pages", "changed"),
    [
        ([page(1, total=3), page(2, total=3), page(3, total=3)], False),
        ([page(1, total=9, last=2), page(2, total=9, last=2)], False),
        ([page(1, total=3), page(2), page(3, total=3)], False),
        ([page(1), page(2, total=3), page(3, total=3)], False),
        ([page(1, last=3), page(2, last=3), page(3, last=3)], False),
        ([page(1), page(2, last=3), page(3)], False),
        ([page(1, last=3), page(2), page(3)], False),
        ([page(1), page(2), page(3, last=3)], False),
        ([page(last=0)], False),
        ([page(last=1, total=0)], False),
        ([page(1, 2, 3, last=1, total=9)], False),
        ([page(1, 2, total=2)], False),
        ([page(1, 2, total=3)], False),
        ([page(1), page(total=6)], False),
        ([page(1, 2, 3, 4, 5, 6, total=6)], False),
        # Another page follows, whose items the token may not see.
        ([page(1, 2, 3, total=4)], False),
        ([page(1, 2, 3), page(4, 5, 6, total=7)], False),
        ([page(1, 2, 3, 4, 5, 6, total=7)], True),
        ([page(1, 2, 3, total=10**12)], True),
        ([page(1, 2, 3, total=7), page(4, 5, 6)], True),
        ([page(1, 2, 3, last=5)], True),
        ([page(1, last=5), page(2, last=5)], True),
        ([page(1, last=5), page(2)], True),
        ([page(1), page(2, last=5), page(3)], True),
        ([page(1), page(2, last=5)], True),
        ([page(1), page(2, last=1)], True),
        ([page(1), page(2, last=0)], True),
        ([page(1), page(2, last=2), page(3)], True),
        ([page(1), page(2), page(3, last=2)], True),
        ([page(1, total=3), page(2, total=4)], True),
        ([page(1, total=3), page(2, total=2)], True),
        ([page(1, total=0), page(2, total=2)], True),
        ([page(1), page(2, total=3), page(3, total=4)], True),
        ([page(1, total=3), page(2, total=4), page(3, total=3)], True),
        ([page(1, 2), page(2, 3)], True),
        ([page(1, 2), page(3, 3)], True),
        ([page(1, last=9), page(2, last=8), page(3, last=9)], True),
        ([page(1), page(2, last=9), page(3, last=8)], True),
        ([page(1, last=1), page(2)], True),
    ],
)
def test_signs_of_change(pages: Sequence[PageDocument[int]], changed: bool) -> None:  # noqa: FBT001
    """Totals or last pages differ, items repeat, or the listing of 3 items ends at another page."""
    state = reading(per_page=3)
    last = pages[-1]
    end = page(*last.items, more=False, last=last.last, total=last.total)
    read(state, *pages[:-1], end)
    if not state.ended:  # as for a full page without links, with a larger total
        read(state, page(more=False, total=last.total))
    assert (True, changed) == (state.ended, state.changed)


@pytest.mark.parametrize(
    ("document", "limit"),
    [
        (page(1, 2, last=9, total=4), 9),
        (page(1, 2, total=9), 5),
        (page(1, 2, total=10), 5),
        (page(1, 2), 2),
        (page(1, 2, total=1), 2),
        (page(1, 2, total=0), 2),
        (page(1, 2, last=0, total=9), 2),
        (page(1, 2, last=1), 2),
        (page(total=9), 2),
        (page(1, 2, total=10**12), 20),
        (page(1, 2, last=10**12), 20),
        (page(1, more=False), 2),
    ],
)
def test_look_ahead(document: PageDocument[int], limit: int) -> None:
    """The number of pages is taken from `last`, or else from the total, within `max_pages`."""
    state = reading(max_pages=20)
    assert (1, 1) == (state.number, state.limit)
    read(state, document)
    assert limit == state.limit


def test_look_ahead_without_a_hint() -> None:
    """While the number of pages is unknown, the number of requested pages doubles."""
    state = reading(start=3, widest=7)
    ahead = []
    for number in range(3, 9):
        ahead.append(1 + state.limit - state.number)
        read(state, page(number, total=2))
    assert [1, 1, 2, 4, 7, 7] == ahead


@given(
    sizes=st.lists(st.integers(0, 5), min_size=1, max_size=30),
    start=counts,
    memory=st.none() | st.integers(0, 3),
    widest=counts,
    known=st.sets(st.sampled_from(["next", "last", "total"])),
)
def test_any_cut(
    sizes: list[int], start: int, memory: int | None, widest: int, known: set[str]
) -> None:
    """A listing that doesn't change comes in order, each item once, for any page sizes."""
    state = reading(start=start, memory=memory, widest=widest, max_pages=len(sizes))
    items = iter(range(sum(sizes)))
    last = start + len(sizes) - 1
    got: list[int] = []
    for number, size in enumerate(sizes, start):
        assert (number, False) == (state.number, state.ended)
        assert number <= state.limit <= last
        links = {"next": number + 1 if number < last else None, "last": last, "total": sum(sizes)}
        hints = {name: links[name] for name in known}
        content = [next(items) for _ in range(size)]
        got += state.accept(page(*content, more=number < last, **hints), REQUEST)
    assert (list(range(sum(sizes))), True, False) == (got, state.ended, state.changed)


@given(
    length=st.integers(1, 40),
    per_page=st.integers(2, 5),
    arrivals=st.lists(st.integers(0, 12), min_size=20, max_size=20),
    memory=st.none() | st.integers(1, 8),
    told=st.booleans(),
)
def test_arrivals(
    length: int, per_page: int, arrivals: list[int], memory: int | None, *, told: bool
) -> None:
    """Items that arrive between two pages hide and repeat no other, and count as a change."""
    state = reading(memory=memory)
    listing = list(range(length))
    got: list[int] = []
    while not state.ended:
        if got:
            # More at once than a page takes are honest only by the total, and need a memory.
            most = 12 if told and memory is None else per_page - 1
            come = min(arrivals.pop(), most) if arrivals else 0
            listing[:0] = range(-len(listing) - come, -len(listing))
        offset = per_page * (state.number - 1)
        content = listing[offset : offset + per_page]
        more = offset + per_page < len(listing)
        got += read(state, page(*content, more=more, total=len(listing) if told else None))[0]
    assert len(set(got)) == len(got)
    there_all_along = [item for item in got if item >= 0]
    assert (list(range(length)), len(listing) > length) == (there_all_along, state.changed)


@given(st.lists(st.tuples(st.lists(counts), st.booleans(), numbers, numbers, numbers)))
def test_any_server(pages: list[tuple[list[int], bool, Any, Any, Any]]) -> None:
    """For any pages, no item comes twice, and `max_pages` is the end."""
    state = reading(max_pages=6)
    got: list[int] = []
    for items, more, next_number, last, total in pages:
        assert state.limit <= 6
        if state.ended:
            break
        document = page(*items, more=more, next=next_number, last=last, total=total)
        try:
            state.check_allowed(lambda _: REQUEST)
            got += state.accept(document, REQUEST)
        except PaginationError:
            break
    assert state.number <= 7
    assert sorted(set(got)) == sorted(got)
