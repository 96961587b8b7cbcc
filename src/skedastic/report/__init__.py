"""The report: what was asked, what came out, group by group, as one self-contained HTML page.

`content` is what it says, `build` makes that of results, `html` draws the page. Nothing is imported here, so that the
content can be used without the plotting library.
"""
