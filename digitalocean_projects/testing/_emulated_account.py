"""EmulatedAccount: an account of the emulator, as tests see it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from threading import RLock

from digitalocean_projects._codec.urn import URN

from ._account import Account, StoredProject
from ._api import API

_is_token = re.compile("[!-~]+").fullmatch


class EmulatedAccount:
    """An account of an `Emulator`, which `Emulator.add_account` returns.

    All methods may be called from any thread.
    """

    def __init__(self, account: Account, api: API, lock: RLock, token: str | None) -> None:
        self._account = account
        self._api = api
        self._lock = lock
        self._token = self._add_token(None, token)

    def _add_token(self, scopes: frozenset[str] | None, token: str | None = None) -> str:
        if token is not None and not _is_token(token):
            raise ValueError("token must be printable ASCII without spaces, and not empty")
        if token in self._api.accounts:
            raise ValueError("token must be new, but this one is already in use")
        token = self._account.add_token(scopes, token)
        self._api.accounts[token] = self._account
        return token

    @property
    def token(self) -> str:
        """The token that has every scope."""
        return self._token

    def add_token(self, scopes: Iterable[str]) -> str:
        """Create a token that has only these scopes, such as `project:read` and `droplet:read`.

        The scopes have their documented names: `block_storage:read` for volumes, for example.
        `api:read` stands for every scope that reads, and `api:write` for every scope.

        A listing is divided into pages first, and then leaves out the resources that the token may
        not read. So pages may be short or empty, and `meta.total` counts everything.

        Raises:
            ValueError: A scope is not of the form `resource:action`.
        """
        scopes = frozenset(scopes)
        for scope in scopes:
            if ":" not in scope:
                raise ValueError(f"a scope must have the form 'droplet:read', got {scope!r}")
        with self._lock:
            return self._add_token(scopes)

    @property
    def default_project_id(self) -> str:
        """The UUID of the default project."""
        with self._lock:
            return self._account.default.id

    def seed(
        self,
        resources: Iterable[URN | str] = (),
        name: str | None = None,
        *,
        default: bool = False,
        description: str = "",
        purpose: str = "Web Application",
        environment: str = "",
    ) -> str:
        """Create a project that holds these resources, and return its UUID.

        Resources that do not exist are created, and existing ones move to the project, both at
        once. They are listed in the given order, before those that the project held, as if the
        first one had been assigned last.

        Args:
            resources: The URNs; repeats are dropped.
            name: The project's name. It determines the UUID, unless a project had that UUID
                before. None chooses a name.
            default: Put the resources into the default project, and ignore the other arguments.
            description: As in `StoredProject`.
            purpose: As in `StoredProject`; any other text gets `Other: ` before it.
            environment: As in `StoredProject`.

        Raises:
            TypeError: A resource is not a URN, or an attribute is not a string.
            ValueError: A URN is malformed, the name is taken, or the API would refuse the project.
                The account is unchanged.
        """
        urns = [URN.of(resource) for resource in resources]
        with self._lock:
            account = self._account
            project = (
                account.default
                if default
                else account.add_project(
                    name, description=description, purpose=purpose, environment=environment
                )
            )
            for urn in reversed(urns):
                account.place(urn, project)
            return project.id

    def attach(self, resource: URN | str, to: URN | str) -> None:
        """Attach a reserved IP to a Droplet, or a load balancer to a Kubernetes cluster.

        A reserved IP moves to the project of its Droplet, and follows it from then on. A request
        that would move it without the Droplet is a 412. A load balancer of a cluster disappears
        from all listings; assignments answer `assigned`.

        Raises:
            TypeError: A resource is not a URN.
            ValueError: A URN is malformed or of another type, or there is no such resource.
        """
        with self._lock:
            self._account.attach(URN.of(resource), URN.of(to))

    def projects(self) -> list[StoredProject]:
        """Return the current projects, newest first, as in a listing."""
        with self._lock:
            return self._account.projects()

    def resources(self, project_id: str = "default") -> list[URN]:
        """Return the URNs that the listing of a project shows now, in its order.

        Args:
            project_id: The project's UUID, or `default`.

        Raises:
            ValueError: There is no such project.
        """
        with self._lock:
            project = self._account.project(project_id)
            if project is None:
                raise ValueError(
                    "project_id must be 'default' or the UUID of a project of this emulator, "
                    f"got {project_id!r}"
                )
            return [assignment.urn for assignment in self._account.listing(project)]
