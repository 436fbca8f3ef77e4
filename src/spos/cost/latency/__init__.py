"""Measured latency: the table of a device, how it is measured, and how far it can be trusted."""

from spos.cost.latency.measure import measure_latency
from spos.cost.latency.table import LatencyTable
from spos.cost.latency.validate import validate

__all__ = ["LatencyTable", "measure_latency", "validate"]
