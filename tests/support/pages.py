"""The pages of the documentation, and what stands in them."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from tests.support.paths import ROOT

REFERENCE = ROOT / "docs" / "reference"  # written by docs/generate.py
TOP = ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md")
WRITTEN = tuple(  # by hand
    path
    for path in [*(ROOT / name for name in TOP), *sorted((ROOT / "docs").rglob("*.md"))]
    if REFERENCE not in path.parents
)
PLACEHOLDERS = {"N": "1"}  # what a command of a page has in place of a number


def text(page: str | Path) -> str:
    """Return the text of a page, by its path from the root."""
    return (ROOT / page).read_text("utf-8")


def title(page: Path) -> str:
    """Return how a test names a page."""
    return str(page.relative_to(ROOT))


def fenced(page: str | Path) -> list[tuple[str, str]]:
    """Return the code blocks of a page with the language that each names, "" where it names none.

    A command that goes on behind a backslash is one line.
    """
    named, language, lines = list[tuple[str, str]](), None, list[str]()
    for line in text(page).replace("\\\n", " ").splitlines():
        if not line.startswith("```"):
            lines.append(line)
        elif language is None:
            language, lines = line[3:].strip(), []
        else:
            named.append((language, "\n".join(lines) + "\n"))
            language = None
    return named


def blocks(page: str | Path, *languages: str) -> list[str]:
    """Return the code blocks of a page that name one of some languages."""
    return [block for language, block in fenced(page) if language in languages]


def without_code(page: str | Path) -> str:
    """Return the text of a page without its fenced blocks."""
    return re.sub(r"^```.*?^```", "", text(page), flags=re.DOTALL | re.MULTILINE)


def commands(page: str | Path) -> list[list[str]]:
    """Return the `skedastic …` commands in the code blocks of a page, as words; comments are left out."""
    lines = [line for block in blocks(page, "", "sh") for line in block.splitlines()]
    return [_words(line) for line in lines if line.startswith("skedastic ")]


def commands_in_prose(page: str | Path) -> list[list[str]]:
    """Return the `skedastic …` commands in the sentences and tables of a page, as words; arguments may be missing."""
    code = [" ".join(code.split()) for code in re.findall(r"`([^`]+)`", without_code(page))]
    return [_words(line) for line in code if line.startswith("skedastic ")]


def _words(line: str) -> list[str]:
    return [PLACEHOLDERS.get(word, word) for word in shlex.split(line, comments=True)[1:]]
