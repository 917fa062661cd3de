"""An Airflow DAG that counts the resources of each project.

A pool of Airflow limits how many tasks run, but not their requests in a minute: a project with
40,000 resources takes 200. `RedisLimits` keeps the requests of all tasks on all workers within the
token's limits, 250 per minute and 5,000 per hour. Each task is a process of its own, so it makes
its own client. `bulk=True` lets other programs with this token go first. Needs
`pip install ".[redis]" apache-airflow-core`.
"""
# Airflow isn't installed where types are checked.
# mypy: ignore-errors

import os

from airflow.sdk import dag, task

from digitalocean_projects import Client
from digitalocean_projects.contrib.redis import RedisLimits


def make_client() -> Client:
    return Client(limits=RedisLimits(os.environ["REDIS_URL"]), bulk=True)


@dag(schedule="@daily")
def inventory() -> None:
    @task
    def project_ids() -> list[str]:
        with make_client() as client:
            return [project.id for project in client.projects.list()]

    @task
    def count(project_id: str) -> int:
        with make_client() as client:
            return len(client.projects.list_resources(project_id).collect())

    @task
    def add(counts: list[int]) -> int:
        return sum(counts)

    add(count.expand(project_id=project_ids()))


work = inventory()
