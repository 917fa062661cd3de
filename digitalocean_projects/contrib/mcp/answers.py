"""Answers: the types of the tools' results, from which the schemas are made."""

from __future__ import annotations

from pydantic import BaseModel, Field

from digitalocean_projects._assignment.plan import Move, NewProject
from digitalocean_projects._assignment.results import AppliedPlan, AssignmentResult
from digitalocean_projects._codec.models import Project, Resource


class Projects(BaseModel):
    """Some of the projects of the account."""

    projects: list[Project]
    total: int
    cut: bool = Field(description="True if there are more projects than the limit")


class FoundProject(BaseModel):
    """A project."""

    project: Project


class Place(BaseModel):
    """The project that holds a resource."""

    project: Project | None = Field(description="null if no project lists the resource")


class ResourcePage(BaseModel):
    """A page of the resources of a project."""

    resources: list[Resource]
    page: int
    total: int | None = Field(description="Resources in the project, visible to the token or not")
    next_page: int | None = Field(description="Number of the next page; null on the last one")


class Row(BaseModel):
    """A resource and its project."""

    project: str
    project_id: str
    resource: Resource


class Failure(BaseModel):
    """A project that could not be read."""

    project: str
    error: str


class Inventory(BaseModel):
    """The resources of projects."""

    rows: list[Row]
    total: int = Field(description="Matching resources, including those that were cut")
    cut: bool = Field(description="True if there are more rows than the limit")
    failures: list[Failure]


class Summary(BaseModel):
    """The number of resources of a project."""

    id: str
    name: str
    is_default: bool
    resources: int
    types: dict[str, int]


class Report(BaseModel):
    """The number of resources of each project."""

    projects: list[Summary]
    total: int = Field(description="Resources of all projects, including those that were cut")
    cut: bool = Field(description="True if there are more projects than the limit")
    failures: list[Failure]


class PlannedChanges(BaseModel):
    """The changes that would bring the account to a wanted state."""

    new_projects: list[NewProject]
    moves: list[Move]
    total_moves: int
    cut: bool = Field(description="True if there are more moves than the limit")
    kept: int = Field(description="Resources that are in their project already")


class Assigned(BaseModel):
    """The outcome of an assignment for each resource."""

    result: AssignmentResult
    complete: bool = Field(description="True if each resource is assigned")


class Applied(BaseModel):
    """The outcome of a wanted state for each resource."""

    result: AppliedPlan
    complete: bool = Field(description="True if each resource is in its project")
