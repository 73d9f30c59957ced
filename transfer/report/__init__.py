"""A run's verdict, figures and tables."""

from transfer.report.coordinate_table import coordinate_table
from transfer.report.report import write_report
from transfer.report.spectrum_table import spectrum_table
from transfer.report.verdict_table import verdict_table

__all__ = ["coordinate_table", "spectrum_table", "verdict_table", "write_report"]
