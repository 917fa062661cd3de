"""pydo, the official client, async: one page after the other."""

from typing import Any

from pydo.aio import Client

from benchmarks.job import PROJECT, Job, chunks

# The server has no certificate.
_PLAIN = {"enforce_https": False}


async def collect(job: Job) -> list[Any]:
    resources: list[Any] = []
    options = {"per_page": job.per_page, "page": 1, **_PLAIN}
    async with Client(token="t", endpoint=job.url) as client:
        while True:
            answer = await client.projects.list_resources(PROJECT, **options)
            resources += answer["resources"]
            if "next" not in answer["links"]["pages"]:
                return resources
            options["page"] += 1


async def get(job: Job) -> list[Any]:
    async with Client(token="t", endpoint=job.url) as client:
        answers = [await client.projects.get(PROJECT, **_PLAIN) for _ in range(job.count)]
    return [answer["project"]["id"] for answer in answers]


async def assign(job: Job) -> list[Any]:
    async with Client(token="t", endpoint=job.url) as client:
        answers = [
            await client.projects.assign_resources(PROJECT, {"resources": chunk}, **_PLAIN)
            for chunk in chunks(job)
        ]
    return [resource for answer in answers for resource in answer["resources"]]
