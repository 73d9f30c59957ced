"""A run's verdict, figures and table."""

from transfer.report.report import write_report
from transfer.report.tables import verdict_table

__all__ = ["verdict_table", "write_report"]
