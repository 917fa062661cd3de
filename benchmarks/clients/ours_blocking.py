"""This package, blocking."""

from benchmarks.job import PROJECT, Job, urns
from digitalocean_projects import Client, Limits, Paginator, Resource

from .ours import NEVER_BINDING


def _client(job: Job, limits: Limits | None = None) -> Client:
    return Client("t", base_url=job.url, limits=limits)


def _list(client: Client, job: Job) -> Paginator[Resource]:
    return client.projects.list_resources(
        PROJECT, per_page=job.per_page, concurrency=job.concurrency
    )


def collect(job: Job) -> list[Resource]:
    with _client(job) as client:
        return _list(client, job).collect()


def iterate(job: Job) -> int:
    seen = 0
    with _client(job) as client:
        for _ in _list(client, job):
            seen += 1
    return seen


def get(job: Job) -> list[str]:
    with _client(job) as client:
        return [client.projects.get(PROJECT).id for _ in range(job.count)]


def page(job: Job) -> list[int]:
    with _client(job, NEVER_BINDING) as client:
        return [len(_list(client, job).first_page().items) for _ in range(job.count)]


def assign(job: Job) -> list[Resource]:
    with _client(job) as client:
        return list(client.projects.assign_resources(PROJECT, urns(job.count)).done)
