"""What a run found: its record, a self-contained HTML page, and tables for the terminal."""

from spos.report.page import render, write_report
from spos.report.terminal import result_tables

__all__ = ["render", "result_tables", "write_report"]
