"""ProxylessNAS: the architecture that its training made most probable."""

from __future__ import annotations

from spos.search.algorithm import ALGORITHMS
from spos.search.algorithms._distribution import DistributionSearch


@ALGORITHMS.register("proxylessnas")
class ProxylessNAS(DistributionSearch):
    """Networks of the distribution that was trained through binary gates.

    Source: Cai et al., ProxylessNAS, ICLR 2019, Section 3.2.
    """

    label = "ProxylessNAS"
    method = "proxylessnas"
