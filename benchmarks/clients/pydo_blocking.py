"""pydo, the official client, blocking: one page after the other."""

from typing import Any

from pydo import Client

from benchmarks.job import PROJECT, Job, chunks

# The server has no certificate.
_PLAIN = {"enforce_https": False}


def collect(job: Job) -> list[Any]:
    resources: list[Any] = []
    options = {"per_page": job.per_page, "page": 1, **_PLAIN}
    with Client(token="t", endpoint=job.url) as client:
        while True:
            answer = client.projects.list_resources(PROJECT, **options)
            resources += answer["resources"]
            if "next" not in answer["links"]["pages"]:
                return resources
            options["page"] += 1


def get(job: Job) -> list[Any]:
    with Client(token="t", endpoint=job.url) as client:
        answers = [client.projects.get(PROJECT, **_PLAIN) for _ in range(job.count)]
    return [answer["project"]["id"] for answer in answers]


def assign(job: Job) -> list[Any]:
    with Client(token="t", endpoint=job.url) as client:
        answers = [
            client.projects.assign_resources(PROJECT, {"resources": chunk}, **_PLAIN)
            for chunk in chunks(job)
        ]
    return [resource for answer in answers for resource in answer["resources"]]
