"""What a run has to show: a summary for the terminal and one self-contained page."""

from omnitrain.report.page import write_report
from omnitrain.report.summary import summarise

__all__ = ["summarise", "write_report"]
