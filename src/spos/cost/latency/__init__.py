"""Measured latency: tables of a device, their measurement and their validation."""

from spos.cost.latency.measure import measure_latency
from spos.cost.latency.table import LatencyTable
from spos.cost.latency.validate import validate

__all__ = ["LatencyTable", "measure_latency", "validate"]
