"""python-digitalocean, blocking: one page of 200 after the other, to a list of URNs."""

from typing import Any

from digitalocean import Project

from benchmarks.job import PROJECT, Job, chunks


def _project(job: Job) -> Project:
    return Project(token="t", id=PROJECT, end_point=f"{job.url}/v2/")


def collect(job: Job) -> list[str]:
    names: list[str] = _project(job).get_all_resources()
    return names


def get(job: Job) -> list[str]:
    project = _project(job)
    return [project.load() or project.id for _ in range(job.count)]


def assign(job: Job) -> list[Any]:
    project = _project(job)
    return [done for chunk in chunks(job) for done in project.assign_resource(chunk)["resources"]]
