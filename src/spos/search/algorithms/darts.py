"""DARTS: the architecture that its training made most probable."""

from __future__ import annotations

from spos.search.algorithm import ALGORITHMS
from spos.search.algorithms._distribution import DistributionSearch


@ALGORITHMS.register("darts")
class DARTS(DistributionSearch):
    """Networks of the distribution that was trained through a softmax.

    Source: Liu et al., DARTS, ICLR 2019, Section 2.4.
    """

    label = "DARTS"
    method = "darts"
