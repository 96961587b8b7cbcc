"""Names that are markup, formulas or commands to a terminal: shown as they are, wherever a run shows them."""

import csv
import re

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from skedastic.cli import console
from skedastic.runs.folder import TABLES
from tests.support.command_line import TINY, refusal, run

NAMES = (
    "=cmd|' /C calc'!A0",
    "<script>alert(1)</script>",
    "a|b `c` *d*",
    "x\ny",
    "\x1b[31mred",
    "[bold]z[/bold] :smile:",
    "{{x}}",
    "\"q\" 'r'",
    "😀 日本語",
    "[/foo]",
    "@SUM(A1)\x9b2J",
    "</script><script>alert(1)</script>\u2028",
    "\u202eevil",
    "\u200b",
    "L" * 300,
)
ON_A_TERMINAL = (
    r"x\ny",
    r"\x1b[31mred",
    "[bold]z[/bold] :smile:",
    "{{x}}",
    "[/foo]",
    r"@SUM(A1)\x9b2J",
    r"\u202eevil",
    r"\u200b",
    "<script>alert(1)</script>",
)
TO_A_TERMINAL = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e\u200b\u2028]")
CONTROLS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
A_FORMULA = re.compile("[=@\t\r]|[+-](?![0-9.])")
LIVE = re.compile(f"{TO_A_TERMINAL.pattern}|<script>alert|<b>")


@pytest.fixture
def hostile(tmp_path, monkeypatch: pytest.MonkeyPatch):
    """The working directory, with a table whose every name is hostile."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(console.out(), "width", 200)  # no name is broken
    generator, y = np.random.default_rng(0), np.arange(150) % len(NAMES)
    columns = {"x": generator.normal(size=150) + y, "<b>o`|": generator.normal(size=150)}
    cells = {"\x1b[2Jcell": [NAMES[i * 5 % len(NAMES)] for i in range(150)], "label": [NAMES[k] for k in y]}
    pd.DataFrame(columns | cells).to_parquet("<b>`.parquet")
    return tmp_path


def test_what_a_run_writes_shows_the_names_themselves(hostile, capsys: pytest.CaptureFixture[str]) -> None:
    line = ("fit", "<b>`.parquet", "--target", "label", *TINY)
    status, out, err = run(capsys, *line, "--out", "run")
    assert status == 0
    shown = {"fit": out + err, "show": "".join(run(capsys, "show", "run")[1:])}
    shown["suspects"] = "".join(run(capsys, "suspects", "run", "--top", 40)[1:])
    shown["evaluate"] = run(capsys, "evaluate", "run", "<b>`.parquet", "--json")[1]
    for verb, text in shown.items():
        assert not TO_A_TERMINAL.search(text), verb
    assert [name for name in ON_A_TERMINAL if name not in shown["fit"]] == []
    rows = [row for row in out.splitlines() if row.startswith(("x\\ny ", "{{x}} ", "[bold]z"))]
    assert len({len(row) for row in rows}) == 1, "the table is aligned"
    page = (hostile / "run" / "report.html").read_text("utf-8")
    assert not LIVE.search(page)
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    card = (hostile / "run" / "README.md").read_text("utf-8")
    assert not LIVE.search(card)
    [head, *rows] = [row for row in card.partition("## Figures")[2].splitlines() if row.startswith("| ")]
    assert len(rows) == 1 + len(NAMES)
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {len(re.findall(r"\|", head))}


def test_no_verb_prints_or_writes_a_name_raw(hostile, capsys: pytest.CaptureFixture[str]) -> None:
    source, target, out = "<b>`.parquet", "label", "[/out]"
    pd.read_parquet(source).assign(**{"\x1b[2Jcell": "=new\x9b"}).to_parquet("[new].parquet")
    data = (source, "--target", target, "--groups", "\x1b[2Jcell", *TINY)
    lines = [
        ("fit", *data, "--method", "har", "--set", "estimate.by=logistic", "--out", out),
        ("show", out),
        ("estimate", *data),
        ("estimate", *data, "--json"),
        *(("suspects", out, "--top", 150, "--out", f"suspects{ending}") for ending in TABLES),
        *(("predict", out, "[new].parquet", "--keep", "\x1b[2Jcell", "--out", f"new{ending}") for ending in TABLES),
        ("evaluate", out, source),
        ("evaluate", out, source, "--json"),
        ("export", out, "--format", "safetensors", "--out", "[e].safetensors"),
        ("fit", source, "--target", "<b>o`|", "--out", "numbers", *TINY),
    ]
    for line in lines:
        status, out, err = run(capsys, *line)
        assert status == 0, err
        assert not TO_A_TERMINAL.search(out + err), line
    texts = [path for path in hostile.rglob("*") if path.suffix in (".json", ".jsonl", ".toml", ".md", ".html")]
    assert len(texts) > 12
    for path in texts:
        raw = LIVE if path.suffix in (".md", ".html") else TO_A_TERMINAL
        assert not raw.search(path.read_text("utf-8")), path
    for path in hostile.glob("*.csv"):
        text = path.read_text("utf-8")
        assert not CONTROLS.search(text), path
        assert [cell for row in csv.reader(text.splitlines(True)) for cell in row if A_FORMULA.match(cell)] == [], path


def test_a_folder_of_pictures_with_hostile_names(hostile, capsys: pytest.CaptureFixture[str]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (4, 10, 8, 8), dtype=np.uint8)
    for name, pictures in zip(("[red]", "=1+1", "\x1b[31mred\x9b", "\u202e<b>evil"), pixels, strict=True):
        (hostile / "[p]\x1b" / name).mkdir(parents=True)
        for i, picture in enumerate(pictures):
            Image.fromarray(picture).save(hostile / "[p]\x1b" / name / f"@{i}\x07<b>.png")
    for line in (
        ("fit", "[p]\x1b", "--method", "erm", "--model", "cnn", *TINY[:2], "--out", "run"),
        ("predict", "run", "[p]\x1b", "--out", "p.csv"),
    ):
        status, out, err = run(capsys, *line)
        assert status == 0, err
        assert not TO_A_TERMINAL.search(out + err)
    for page in ("report.html", "README.md"):
        assert not LIVE.search((hostile / "run" / page).read_text("utf-8"))
    predicted = pd.read_csv("p.csv", dtype=str)
    assert set(predicted["predicted"]) <= {"[red]", "'=1+1", r"\x1b[31mred\x9b", "\u202e<b>evil"}
    assert not CONTROLS.search((hostile / "p.csv").read_text("utf-8"))
    assert predicted["path"].str.contains(r"\x07<b>.png", regex=False).all()


def test_corrections_in_a_csv_come_back_as_they_are(hostile, capsys: pytest.CaptureFixture[str]) -> None:
    data = ("<b>`.parquet", "--target", "label", *TINY)
    run(capsys, "fit", *data, "--method", "har", "--set", "estimate.by=logistic", "--out", "run")
    assert run(capsys, "suspects", "run", "--top", 150, "--out", "s.csv")[0] == 0
    rows = pd.read_csv("s.csv", dtype=str, keep_default_na=False)
    rows.assign(corrected=rows["given"]).to_csv("s.csv", index=False)
    status, _, err = run(capsys, "fit", *data, "--method", "erm", "--labels", "s.csv", "--out", "corrected")
    assert status == 0, err
    assert "0 labels corrected" in err


def test_errors_show_the_names_themselves(hostile, capsys: pytest.CaptureFixture[str]) -> None:
    for line in (("fit", "<b>`.parquet", "--target", "\x1b[1m"), ("fit", "\u202e\x9b.csv", "--target", "a")):
        status, out, err = run(capsys, *line)
        assert (status, out, err.count("\n")) == (2, "", 1)
        assert not TO_A_TERMINAL.search(err)


def test_paths_that_are_no_utf8_are_refused_before_anything_is_trained(
    hostile, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = b"\xff".decode("utf-8", "surrogateescape")
    (hostile / "pictures" / "a").mkdir(parents=True)
    for file in (f"{bad}.csv", f"pictures/a/{bad}.png"):
        (hostile / file).write_text("a,b\n1,2\n")
    for line in (
        ("fit", f"{bad}.csv", "--target", "b"),
        ("fit", "pictures"),
        ("fit", "<b>`.parquet", "--target", "label", "--out", bad),
    ):
        assert refusal(capsys, *line).rule == "its path has bytes that are no UTF-8; rename it"


def test_a_comparison_shows_the_names_themselves(hostile, capsys: pytest.CaptureFixture[str]) -> None:
    line = ("compare", "<b>`.parquet", "--target", "label", "--methods", "erm,unif", "--seeds", 2, "--jobs", 1)
    status, out, err = run(capsys, *line, *TINY, "--focus", "\x1b[31mred", "--out", "both")
    assert status == 0
    assert not TO_A_TERMINAL.search(out + err)
    assert r"focus: \x1b[31mred" in out
    assert not LIVE.search((hostile / "both" / "report.html").read_text("utf-8"))


COMMAS = ("a, b", 'c "x", d', "c", "=e\nf")


def test_names_with_commas_are_told_apart_in_lists_and_can_be_named(
    tmp_path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    y = np.arange(80) % len(COMMAS)
    x = np.random.default_rng(0).normal(size=80) + y
    pd.DataFrame({"x": x, "y": [COMMAS[k] for k in y]}).to_parquet("t.parquet")
    fit = ("fit", "t.parquet", "--target", "y", "--epochs", "1", "--set", "model.width=8", "--out", "run")
    status, out, _ = run(capsys, *fit, "--prior", '"a, b"=0.4,"c ""x"", d"=0.2,c=0.1,"=e\nf"=0.3')
    assert status == 0
    assert re.search(r'collect more rows: =e\\nf \(\d+\), "a, b" \(\d+\), c \(\d+\), "c ""x"", d" \(\d+\) have', out)
    assert '"a, b", c' in (tmp_path / "run" / "README.md").read_text("utf-8")
    assert "write CLASS=SHARE" in run(capsys, *fit, "--force", "--prior", "a, b=0.5,c=0.5")[2]
    compare = ("compare", "t.parquet", "--target", "y", "--methods", "erm", "--seeds", "1", "--epochs", "1")
    status, out, _ = run(capsys, *compare, "--without-trees", "--focus", '"a, b",c', "--out", "both")
    assert status == 0
    assert 'focus: "a, b", c\n' in out
    status, _, err = run(capsys, *compare, "--focus", "a, b", "--out", "other")
    assert status == 2
    assert 'known: =e f, "a, b", c, "c ""x"", d"; one with a comma stands in "quotes"' in err
