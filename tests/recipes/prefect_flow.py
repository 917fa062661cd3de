"""A Prefect flow that counts the resources of each project.

Prefect limits how many tasks run, and how many start in a time, but a task sends any number of
requests: a project with 40,000 resources takes 200. `RedisLimits` keeps the requests of all tasks
on all workers within the token's limits, 250 per minute and 5,000 per hour. `bulk=True` lets other
programs with this token go first. Needs `pip install ".[redis]" prefect`.
"""
# Prefect isn't installed where types are checked.
# mypy: ignore-errors

import os

from prefect import flow, task

from digitalocean_projects import Client
from digitalocean_projects.contrib.redis import RedisLimits

client = Client(limits=RedisLimits(os.environ["REDIS_URL"]), bulk=True)


@task
def count(project_id: str) -> int:
    return len(client.projects.list_resources(project_id).collect())


@flow
def report() -> dict[str, int]:
    projects = client.projects.list().collect()
    counts = count.map([project.id for project in projects]).result()
    return {project.name: number for project, number in zip(projects, counts, strict=True)}


if __name__ == "__main__":
    print(report())  # noqa: T201 - the result of the program
