"""Django views, a sync and an async one, of a site whose settings have a `DIGITALOCEAN_TOKEN`.

Sync views use one `Client` for each process, which serves all threads, and also the workers that a
server forks later (`gunicorn --preload`). Async views use one `AsyncClient` for each process, since
an ASGI server runs them all in one event loop. If the browser leaves, Django cancels the view, and
with it the request to the API. Under WSGI and in code that is called through `async_to_sync`, use
`Client`: an `AsyncClient` serves one event loop after another, but not several at once.
"""
# Django isn't installed where types are checked.
# mypy: ignore-errors

from functools import cache
from uuid import UUID

from django.conf import settings
from django.http import HttpRequest, JsonResponse

from digitalocean_projects import AsyncClient, Client


@cache
def client() -> Client:
    return Client(settings.DIGITALOCEAN_TOKEN, deadline=10.0)


@cache
def async_client() -> AsyncClient:
    return AsyncClient(settings.DIGITALOCEAN_TOKEN, deadline=10.0)


def resources(_: HttpRequest, project: UUID) -> JsonResponse:
    listing = client().projects.list_resources(project)
    return JsonResponse({"urns": [str(resource.urn) for resource in listing]})


async def total(_: HttpRequest, project: UUID) -> JsonResponse:
    page = await async_client().projects.list_resources(project).first_page()
    return JsonResponse({"total": page.total})
