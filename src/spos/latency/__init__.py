"""Measured latency: the table of a device, how it is measured, and how far it can be trusted."""

from spos.latency.table import LatencyTable

__all__ = ["LatencyTable"]
