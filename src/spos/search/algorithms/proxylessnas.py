"""ProxylessNAS: the most probable architecture after its training."""

from spos.search.algorithm import ALGORITHMS
from spos.search.algorithms._distribution import DistributionSearch


@ALGORITHMS.register("proxylessnas")
class ProxylessNAS(DistributionSearch):
    """Derivation of networks from probabilities that were trained through binary gates.

    Source: Cai et al., ProxylessNAS, ICLR 2019, Section 3.2.
    """

    label = "ProxylessNAS"
    method = "proxylessnas"
