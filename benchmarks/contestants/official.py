"""pydo, the official client, blocking: pages as its README shows, one after the other."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlparse

from pydo import Client

from benchmarks.account import PROJECT

from .floor import THREADS, chunks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.job import Job

# The server has no certificate.
PLAIN = {"enforce_https": False}


def next_page(answer: Any) -> int | None:
    """The number of the next page, from its link."""
    pages = answer.get("links", {}).get("pages", {})
    return int(parse_qs(urlparse(pages["next"]).query)["page"][0]) if "next" in pages else None


def _client(job: Job) -> Client:
    return Client(token="t", endpoint=job.url)  # noqa: S106 - the server takes any


def collect(job: Job) -> list[Any]:
    """List all."""
    with _client(job) as client:
        return [resource for page in _pages(client, job) for resource in page]


def iterate(job: Job) -> int:
    """Look at all, and keep none."""
    with _client(job) as client:
        return sum(1 for page in _pages(client, job) for _ in page)


def many(job: Job) -> list[Any]:
    """List all in several threads at the same time."""
    with _client(job) as client, ThreadPoolExecutor(THREADS) as pool:
        listings = pool.map(lambda _: list(_pages(client, job)), range(THREADS))
        return [resource for listing in listings for page in listing for resource in page]


def _pages(client: Client, job: Job) -> Iterator[list[Any]]:
    number: int | None = 1
    while number is not None:
        answer = client.projects.list_resources(
            PROJECT, per_page=job.per_page, page=number, **PLAIN
        )
        yield answer["resources"]
        number = next_page(answer)


def get(job: Job) -> int:
    """Ask for a project many times, one after the other."""
    with _client(job) as client:
        return sum(
            client.projects.get(PROJECT, **PLAIN)["project"]["id"] == PROJECT
            for _ in range(job.count)
        )


def assign(job: Job) -> list[Any]:
    """Assign many, a hundred at a time."""
    done = []
    with _client(job) as client:
        for chunk in chunks(job):
            body = {"resources": chunk}
            done += client.projects.assign_resources(PROJECT, body, **PLAIN)["resources"]
    return done
