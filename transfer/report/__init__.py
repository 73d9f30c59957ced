"""A run's verdict, figures and tables."""

from transfer.report.charts import Picture, line_chart, size_chart
from transfer.report.report import Report, report_folder, write_report
from transfer.report.sublayers import spectrum_table
from transfer.report.tables import coordinate_table
from transfer.report.verdict import verdict_html, verdict_table, verdict_text

__all__ = [
    "Picture",
    "Report",
    "coordinate_table",
    "line_chart",
    "report_folder",
    "size_chart",
    "spectrum_table",
    "verdict_html",
    "verdict_table",
    "verdict_text",
    "write_report",
]
