"""Attachments: resources that belong to another resource, and move with it or are not listed."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Container

    from digitalocean_projects._codec.urn import URN

_RESERVED_IPS = ("floatingip", "floatingipv6")


class Attachments:
    """The reserved IPs of Droplets, and the load balancers of Kubernetes clusters.

    All URNs are those of listings.
    """

    def __init__(self) -> None:
        self._droplets: dict[URN, URN] = {}
        self._clusters: dict[URN, URN] = {}

    def attach(self, urn: URN, to: URN) -> None:
        """Attach a reserved IP to a Droplet, or a load balancer to a Kubernetes cluster.

        Raises:
            ValueError: The resources have other types.
        """
        if urn.type in _RESERVED_IPS and to.type == "droplet":
            self._droplets[urn] = to
        elif (urn.type, to.type) == ("loadbalancer", "kubernetes"):
            self._clusters[urn] = to
        else:
            raise ValueError(
                "only a reserved IP can be attached to a Droplet, and only a load balancer to a "
                f"Kubernetes cluster, got {urn} and {to}"
            )

    def droplet(self, urn: URN) -> URN | None:
        """Return the Droplet to which a resource is attached, or None."""
        return self._droplets.get(urn)

    @property
    def droplets(self) -> list[URN]:
        """The Droplets that have reserved IPs."""
        return list(dict.fromkeys(self._droplets.values()))

    def addresses(self, droplet: URN) -> list[URN]:
        """Return the reserved IPs that are attached to a Droplet."""
        return [urn for urn, to in self._droplets.items() if to == droplet]

    def hides(self, urn: URN) -> bool:
        """Return True if a resource is never listed."""
        return urn in self._clusters

    def show(self, urn: URN) -> None:
        """Detach a resource that was never listed."""
        self._clusters.pop(urn, None)

    def keep(self, listed: Container[URN]) -> None:
        """Drop an attachment if one of its resources no longer exists.

        It is also dropped if its load balancer is listed again.
        """
        self._droplets = {
            urn: to for urn, to in self._droplets.items() if urn in listed and to in listed
        }
        self._clusters = {
            urn: to for urn, to in self._clusters.items() if urn not in listed and to in listed
        }
