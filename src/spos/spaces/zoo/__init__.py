"""Published networks to compare with: plain torch modules, costs as published."""

from spos.spaces.zoo.catalogue import NETWORKS, Network, build_network

__all__ = ["NETWORKS", "Network", "build_network"]
