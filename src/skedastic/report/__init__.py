"""The report: what was asked, what came out, group by group, as one self-contained HTML page.

`content` is what it says, `build` makes that of results, `html` draws the page: `charts` chooses what a chart shows, of
`marks` along the axes of `scales`, and `chart.html.jinja` writes it as SVG.
"""
