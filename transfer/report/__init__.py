"""A run's verdict, figures and tables."""

from transfer.report.coordinate_table import coordinate_table
from transfer.report.line_chart import line_chart
from transfer.report.picture import Picture
from transfer.report.report import Report, write_report
from transfer.report.size_chart import size_chart
from transfer.report.spectrum_table import spectrum_table
from transfer.report.verdict_table import verdict_table

__all__ = [
    "Picture",
    "Report",
    "coordinate_table",
    "line_chart",
    "size_chart",
    "spectrum_table",
    "verdict_table",
    "write_report",
]
