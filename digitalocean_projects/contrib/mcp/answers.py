"""Answers: the types of the tools' results, from which the schemas are made."""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Self

from pydantic import BaseModel, Field

from digitalocean_projects._assignment.plan import Move, NewProject
from digitalocean_projects._assignment.results import AppliedPlan, AssignmentResult
from digitalocean_projects._codec.models import Project, ProjectResources, Resource

_Doubts = Annotated[
    list[str], Field(description="Reasons why items may be missing, out of date or misplaced")
]
_Error = Annotated[
    str | None, Field(description="The error that ended the call early; null if there was none")
]


class Projects(BaseModel):
    """Some of the projects of the account."""

    projects: list[Project]
    total: int
    cut: bool = Field(description="True if there are more projects than the limit")
    doubts: _Doubts


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
    cut: bool = Field(description="True if a list was cut to the limit")
    failures: list[Failure]
    doubts: _Doubts


class Summary(BaseModel):
    """The number of resources of a project."""

    id: str
    name: str
    is_default: bool
    resources: int
    types: dict[str, int]

    @classmethod
    def of(cls, page: ProjectResources) -> Self:
        """Return the summary of a project and its resources."""
        return cls(
            id=page.project.id,
            name=page.project.name,
            is_default=page.project.is_default,
            resources=len(page.resources),
            types=dict(Counter(each.type for each in page.resources).most_common()),
        )


class Report(BaseModel):
    """The number of resources of each project."""

    projects: list[Summary]
    total: int = Field(description="Resources of all projects, including those that were cut")
    cut: bool = Field(description="True if a list was cut to the limit")
    failures: list[Failure]
    doubts: _Doubts


class PlannedChanges(BaseModel):
    """The changes that would bring the account to a wanted state."""

    new_projects: list[NewProject]
    total_new_projects: int
    moves: list[Move]
    total_moves: int
    cut: bool = Field(description="True if a list was cut to the limit")
    kept: int = Field(description="Resources that are in their project already")


class Assigned(BaseModel):
    """The outcome of an assignment for each resource."""

    result: AssignmentResult
    complete: bool = Field(description="True if each resource is assigned")
    error: _Error


class Applied(BaseModel):
    """The outcome of a wanted state for each resource."""

    result: AppliedPlan
    complete: bool = Field(description="True if each resource is in its project")
    error: _Error
