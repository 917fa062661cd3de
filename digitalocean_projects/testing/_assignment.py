"""Assignment: a resource's place in a project, and the times of the emulator."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import attrs

from digitalocean_projects._codec.urn import URN

EPOCH = datetime(2024, 1, 1, tzinfo=UTC)
_SELF = {
    "app": "https://api.digitalocean.com/v2/apps/{}",
    "dbaas": "https://api.digitalocean.com/v2/databases/{}",
    "domain": "https://api.digitalocean.com/v2/domains/{}",
    "droplet": "https://api.digitalocean.com/v2/droplets/{}",
    "floatingip": "https://api.digitalocean.com/v2/floating_ips/{}",
    "kubernetes": "https://api.digitalocean.com/v2/kubernetes/clusters/{}",
    "loadbalancer": "https://api.digitalocean.com/v2/load_balancers/{}",
    "space": "https://{}.nyc3.digitaloceanspaces.com",
    "volume": "https://api.digitalocean.com/v2/volumes/{}",
}


@attrs.frozen(kw_only=True)
class Assignment:
    """A resource's assignment to a project.

    Attributes:
        urn: The resource.
        project_id: The project.
        number: The position among all assignments of the account, which listings are ordered by.
        assigned_at: The time of the assignment; listings omit a None.
        status: The status in listings, which omit a None.
        self_link: The link to the resource, which answers omit if it is None.
    """

    urn: URN
    project_id: str
    number: int
    assigned_at: str | None
    status: str | None = "ok"
    self_link: str | None


@attrs.frozen
class Labels:
    """The name and the tags of a Droplet, which only `/v2/droplets` shows."""

    name: str
    tags: tuple[str, ...] = ()


def self_link(urn: URN) -> str:
    """Return the link to a resource that the API sends."""
    link = _SELF.get(urn.type, f"https://api.digitalocean.com/v2/{urn.type}s/{{}}")
    return link.format(urn.id)


def instant(epoch: datetime, number: int) -> str:
    """Return the time of the assignment `number`; as with the API, times differ in precision."""
    moment = epoch + timedelta(seconds=number, microseconds=number * 7919 % 1_000_000)
    digits = (0, 4, 6)[number % 3]
    text = moment.strftime("%Y-%m-%dT%H:%M:%S.%f")
    return f"{text[: 20 + digits].rstrip('.')}Z"


def second(epoch: datetime, number: int) -> str:
    """Return the time of the change `number` of a project."""
    return f"{epoch + timedelta(seconds=number):%Y-%m-%dT%H:%M:%SZ}"
