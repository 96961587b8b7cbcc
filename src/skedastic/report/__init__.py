"""The report: settings and outcome, group by group, as one self-contained HTML page.

`content` has its plain values, which `runs.reports` makes from results. `html` draws the page: `charts` chooses the
content of a chart, as `marks` along the axes of `scales`, and `chart.html.jinja` writes it as SVG.
"""
