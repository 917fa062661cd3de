"""This package, blocking."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from benchmarks.account import PROJECT, urn
from digitalocean_projects import Client

from .floor import THREADS

if TYPE_CHECKING:
    from benchmarks.job import Job
    from digitalocean_projects import Resource


def _client(job: Job) -> Client:
    return Client("t", base_url=job.url, limits=None)


def collect(job: Job) -> list[Resource]:
    """List all."""
    with _client(job) as client:
        return client.projects.list_resources(PROJECT, per_page=job.per_page).collect()


def iterate(job: Job) -> int:
    """Look at all, and keep none."""
    seen = 0
    with _client(job) as client:
        for _ in client.projects.list_resources(PROJECT, per_page=job.per_page):
            seen += 1
    return seen


def get(job: Job) -> int:
    """Ask for a project many times, one after the other."""
    right = 0
    with _client(job) as client:
        for _ in range(job.count):
            right += client.projects.get(PROJECT).id == PROJECT
    return right


def assign(job: Job) -> list[Resource]:
    """Assign many."""
    with _client(job) as client:
        result = client.projects.assign_resources(PROJECT, map(urn, range(job.count)))
    return list(result.done)


def many(job: Job) -> list[Resource]:
    """List all in several threads at the same time."""
    with _client(job) as client, ThreadPoolExecutor(THREADS) as pool:
        listings = pool.map(
            lambda _: client.projects.list_resources(PROJECT).collect(), range(THREADS)
        )
        return [resource for listing in listings for resource in listing]
