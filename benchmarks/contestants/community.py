"""python-digitalocean: blocking, pages of 200, one after the other; of a resource, the name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from digitalocean import Project

from benchmarks.account import PROJECT

from .floor import chunks

if TYPE_CHECKING:
    from benchmarks.job import Job


def _project(job: Job) -> Project:
    return Project(token="t", id=PROJECT, end_point=f"{job.url}/v2/")  # noqa: S106 - any will do


def collect(job: Job) -> list[str]:
    """List all."""
    names: list[str] = _project(job).get_all_resources()
    return names


def get(job: Job) -> int:
    """Ask for a project many times, one after the other."""
    project = _project(job)
    right = 0
    for _ in range(job.count):
        project.load()
        right += project.name == "web-shop"
    return right


def assign(job: Job) -> list[Any]:
    """Assign many, a hundred at a time."""
    project = _project(job)
    return [done for chunk in chunks(job) for done in project.assign_resource(chunk)["resources"]]
