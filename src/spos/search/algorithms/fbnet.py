"""FBNet: the most probable architecture after its training."""

from spos.search.algorithm import ALGORITHMS
from spos.search.algorithms._distribution import DistributionSearch


@ALGORITHMS.register("fbnet")
class FBNet(DistributionSearch):
    """Derivation of networks from probabilities that were trained through a Gumbel softmax.

    Source: Wu et al., FBNet, CVPR 2019, Section 3.2.
    """

    label = "FBNet"
    method = "fbnet"
