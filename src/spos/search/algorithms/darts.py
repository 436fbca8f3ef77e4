"""DARTS: the most probable architecture after its training."""

from spos.search.algorithm import ALGORITHMS
from spos.search.algorithms._distribution import DistributionSearch


@ALGORITHMS.register("darts")
class DARTS(DistributionSearch):
    """Derivation of networks from probabilities that were trained through a softmax.

    Source: Liu et al., DARTS, ICLR 2019, Section 2.4.
    """

    label = "DARTS"
    method = "darts"
