"""The report: what was asked, what came out, group by group, as one self-contained HTML page."""

from skedastic.report.html import (
    Difference,
    GroupRow,
    Interval,
    MethodRow,
    Report,
    Suspect,
    render,
)

__all__ = ["Difference", "GroupRow", "Interval", "MethodRow", "Report", "Suspect", "render"]
