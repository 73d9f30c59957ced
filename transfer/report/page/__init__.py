"""The report as one HTML file that opens offline.

Charts are Vega-Lite specifications, written with Altair, which checks them against the schema, and
drawn in the reader's browser by the bundle that vl-convert carries: under 1 MB where plotly.js is
4.5 MB, and SVG, so that colours come from the page's stylesheet and follow its light or dark.
"""

from transfer.report.page.page import report_page

__all__ = ["report_page"]
