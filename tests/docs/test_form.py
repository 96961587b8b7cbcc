"""The form of the pages: links lead somewhere, and lines end at 120 characters."""

import re

import pytest

from tests.support.pages import REFERENCE, WRITTEN, text, title, without_code
from tests.support.paths import ROOT

LINK = re.compile(r"\]\(([^)\s]+)\)|(?:href|src)=\"([^\"]+)\"")
WIDTH = 120


def anchors(page):
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", without_code(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", WRITTEN, ids=title)
def test_every_link_leads_to_a_file_and_a_heading(page) -> None:
    for target in (a or b for a, b in LINK.findall(without_code(page))):
        if re.match(r"https?:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.is_relative_to(ROOT), f"{target} leads out of the project"
        assert file.exists(), f"{target}: no such file" + (", run make docs" if file.parent == REFERENCE else "")
        assert not anchor or anchor in anchors(file), f"{target}: no such heading in {title(file)}"


def test_every_page_is_reached_from_the_index() -> None:
    index = ROOT / "docs" / "index.md"
    linked = {(index.parent / target.partition("#")[0]).resolve() for target, _ in LINK.findall(text(index))}
    for page in (ROOT / "docs").rglob("*.md"):
        assert page == index or page in linked, f"docs/index.md has no link to {title(page)}"


@pytest.mark.parametrize("page", WRITTEN, ids=title)
def test_lines_end_at_120_characters_outside_tables_code_and_links(page) -> None:
    for number, line in enumerate(without_code(page).splitlines(), 1):
        words = re.sub(r"`[^`]*`|\]\([^)]*\)", "", line)  # a command or an address can't be broken
        if not line.lstrip().startswith(("|", "<", "    ")):
            assert len(line) <= WIDTH or len(words) < WIDTH / 2, f"{line[:60]}… (line {number} outside of code)"
