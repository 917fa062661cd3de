"""EmulatedAccount: an account of the emulator, as tests see it."""

from __future__ import annotations

from collections.abc import Iterable
from threading import RLock

from digitalocean_projects._codec.urn import URN

from ._account import Account
from ._accounts import Accounts
from ._assignment import Labels
from ._project import StoredProject, answered_purpose
from ._token import checked_scopes


class EmulatedAccount:
    """An account of an `Emulator`, which `Emulator.add_account` returns.

    All methods may be called from any thread. If the account was removed, by `Emulator.reset` or by
    a load that replaces everything, all of them but `token` raise `RuntimeError`.
    """

    def __init__(self, account: Account, accounts: Accounts, lock: RLock) -> None:
        self._own = account
        self._accounts = accounts
        self._lock = lock
        self._token = next(iter(account.tokens))

    @property
    def _account(self) -> Account:
        """The account; the lock must be held."""
        if self._own not in self._accounts.all:
            raise RuntimeError(
                "this account was removed by a reset or a load; create another one with "
                "add_account()"
            )
        return self._own

    @property
    def token(self) -> str:
        """The account's own token, which has every scope unless `Emulator` was given others."""
        return self._token

    def add_token(self, scopes: Iterable[str]) -> str:
        """Create a token that has only these scopes, such as `project:read` and `droplet:read`.

        The scopes have their documented names: `block_storage:read` for volumes, for example.
        `api:read` stands for every scope that reads, and `api:write` for every scope.

        A listing is divided into pages first, and then leaves out the resources that the token may
        not read. So pages may be short or empty, and `meta.total` counts everything.

        Raises:
            TypeError: `scopes` is a string.
            ValueError: A scope is not of the form `resource:action`.
        """
        checked = checked_scopes(scopes)
        with self._lock:
            return self._accounts.add_token(self._account, checked)

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
        first one had been assigned last. A reserved IP that is attached to a Droplet stays with it.

        Args:
            resources: The URNs; repeats are dropped.
            name: The project's name. It determines the UUID, unless a project had that UUID
                before. None chooses a name.
            default: Put the resources into the default project, and ignore the other arguments.
            description: As in `StoredProject`.
            purpose: As in `StoredProject`; any other text gets `Other: ` before it, as in a
                request to the API.
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
                    name,
                    description=description,
                    purpose=answered_purpose(purpose),
                    environment=environment,
                )
            )
            for urn in reversed(urns):
                account.place(urn, project)
            account.follow_droplets()
            return project.id

    def add_droplet(
        self, droplet_id: int, name: str, tags: Iterable[str] = (), *, project_id: str = "default"
    ) -> URN:
        """Create a Droplet with a name and tags, which `/v2/droplets` shows, and return its URN.

        An existing Droplet stays in its project, and gets this name and these tags. A Droplet that
        was seeded is named `droplet-ID` and has no tags.

        Args:
            droplet_id: The id, an int of at least 1.
            name: The name.
            tags: The tags; repeats are dropped.
            project_id: The UUID of the project of a new Droplet, or `default`.

        Raises:
            TypeError: `name` or a tag is not a string, or `tags` is a single string.
            ValueError: The id is less than 1, or there is no such project.
        """
        urn = URN("droplet", droplet_id)
        if droplet_id < 1:
            raise ValueError(f"droplet_id must be at least 1, got {droplet_id}")
        distinct = tuple(dict.fromkeys(tags))
        if isinstance(tags, str) or not all(isinstance(text, str) for text in (name, *distinct)):
            raise TypeError("name must be a string, and tags must be a collection of strings")
        with self._lock:
            project = self._project(project_id)
            if self._account.assignment(urn) is None:
                self._account.place(urn, project)
            self._account.labels[urn] = Labels(name, distinct)
        return urn

    def attach(self, resource: URN | str, to: URN | str) -> None:
        """Attach a reserved IP to a Droplet, or a load balancer to a Kubernetes cluster.

        A reserved IP moves to the project of its Droplet, and follows it from then on. A request
        that would move it without the Droplet is a 412. A load balancer of a cluster disappears
        from all listings; assignments answer `assigned`. Files don't hold attachments.

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
            project = self._project(project_id)
            return [assignment.urn for assignment in self._account.listing(project)]

    def _project(self, project_id: str) -> StoredProject:
        project = self._account.project(project_id)
        if project is None:
            raise ValueError(
                "project_id must be 'default' or the UUID of a project of this emulator, "
                f"got {project_id!r}"
            )
        return project

    def dump(self) -> str:
        """Return the projects and the resources as text, in the format of `load`.

        Each line is a JSON object. The projects are ordered by name, and each is followed by its
        resources, as they are listed. A resource that moves is in its new project already.
        """
        with self._lock:
            return self._accounts.text(self._account)

    def load(self, text: str, *, replace: bool = False) -> None:
        """Add projects and resources from a text, at once.

        The text is that of `dump`, or what `doctl projects list` and `doctl projects resources
        list` print with `-o json`; the module's docstring describes it. An existing project is
        changed, and an existing resource moves. As with `seed`, resources are listed before those
        that the project held.

        Args:
            text: The text.
            replace: True to remove everything else: projects, resources, attachments and added
                tokens. Otherwise, the moves of resources that the text doesn't name go on.

        Raises:
            ValueError: The text is not in the format, or contradicts itself or the account. The
                message names the line. The account is unchanged.
        """
        with self._lock:
            self._accounts.load(text, self._account, replace=replace)
