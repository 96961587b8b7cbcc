"""The guide to choosing, from a few lines: every number against a count by hand, signs, what can't be used."""

import gzip
import importlib
import json
import random
import re
import statistics
from dataclasses import replace
from typing import Any

import pytest

from skedastic.evaluation.intervals import mean_interval
from skedastic.methods.auto import Auto
from skedastic.methods.ensemble import Ensemble
from skedastic.settings.methods import make_method
from tests.methods.test_auto import known
from tests.reference.evidence import PEERS, WAYS, ByHand
from tests.support.methods import dataset
from tests.support.paths import ROOT

KEPT = ROOT / "docs" / "results" / "evidence.jsonl.gz"
SETS = {  # kind of data, rows, classes, rows of the smallest and of the largest class
    "ecoli": ("columns", 220, 6, 4, 90),
    "yeast": ("columns", 900, 10, 5, 300),
    "krk": ("columns", 1000, 3, 200, 500),
    "trec": ("texts", 1000, 6, 10, 400),
    "trec_minilm": ("embeddings", 1000, 6, 10, 400),
    "music_genre": ("columns", 660, 10, 40, 90),
}
OWN = ("trec", "trec_minilm", "music_genre")


def written(lead: float = 4.0, seed: int = 0) -> list[dict[str, Any]]:
    """Return lines whose auto is above plain training by `lead` in the mean."""
    rng = random.Random(seed)
    lines = []
    for data, (kind, rows, classes, least, most) in SETS.items():
        for labels in ("own",) if data in OWN else ("none", "one way"):
            for number in range(3):
                base = rng.uniform(50, 80)
                gain = {"auto": lead, "half-balanced mixup": 2.0, "balanced HAR at 0.3": 3.0, "linear model": -6.0}
                ways = {
                    way: {
                        "accuracy": base + rng.gauss(5, 2),
                        "balanced": base + gain.get(way, 0.0) + rng.gauss(0, 1),
                        "worst": base / 2 + rng.gauss(0, 4),
                        "seconds": rng.uniform(0.5, 2) * (5 if way == "auto" else 1),
                        "gives_up": way == "balanced HAR at 0.3" and data == "yeast" and number == 0,
                    }
                    for way in ("auto", *WAYS, *PEERS)
                }
                facts = dict(
                    zip(("kind", "rows", "classes", "least", "most"), (kind, rows, classes, least, most), strict=True)
                )
                took = {"auto": "mixup", "largest gain": "mixup"}
                lines.append({"run": f"{data}/{labels}/{number}", "facts": facts, "ways": ways, "took": took})
    return lines


def page_of(lines) -> str:
    read = importlib.import_module("evidence_lines").runs_of
    return importlib.import_module("choosing").page(read(lines))


def tables(page: str) -> list[dict[str, list[str]]]:
    """The tables of a page, each by the first cell of a row."""
    found = list[dict[str, list[str]]]()
    for block in re.findall(r"(?:^\|.*\n)+", page, re.MULTILINE):
        rows = [[cell.strip() for cell in row.strip("|").split("|")] for row in block.splitlines()]
        found.append({row[0]: row[1:] for row in rows[2:]})
    return found


def parts(lines) -> dict[str, ByHand]:
    """The kinds of data that the lines have, by hand."""
    facts = [line["facts"] for line in lines]
    labels = [line["run"].split("/")[1] for line in lines]
    data = [line["run"].split("/")[0] for line in lines]
    ratio = [fact["most"] / fact["least"] for fact in facts]
    chosen = {
        "all": [True] * len(lines),
        "columns of numbers and categories": [fact["kind"] == "columns" for fact in facts],
        "texts": [fact["kind"] == "texts" for fact in facts],
        "embeddings of texts or images": [fact["kind"] == "embeddings" for fact in facts],
        "labels as they came": [kind == "none" for kind in labels],
        "wrong from one class to another": [kind == "one way" for kind in labels],
        "wrong on their own: rules": [name.startswith("trec") for name in data],
        "wrong on their own: people (crowds)": [name == "music_genre" for name in data],
        "fewer than 150 rows for each class": [fact["rows"] / fact["classes"] < 150 for fact in facts],
        "150 rows for each class or more": [fact["rows"] / fact["classes"] >= 150 for fact in facts],
        "largest class below 5 × the smallest": [value < 5 for value in ratio],
        "largest class 5 to 50 × the smallest": [5 <= value < 50 for value in ratio],
        "largest class 50 × the smallest or more": [value >= 50 for value in ratio],
    }
    return {
        title: ByHand([line for line, own in zip(lines, which, strict=True) if own]) for title, which in chosen.items()
    }


@pytest.mark.usefixtures("evidence")
def test_every_cell_of_the_tables_is_counted_from_the_lines() -> None:
    lines = written(2.5)
    default, one_way, ahead, time = tables(page_of(lines))
    kinds = parts(lines)
    assert list(default) == list(one_way) == list(kinds)
    for title, own in kinds.items():
        assert default[title] == [
            f"{len(own.lines)} ({len(set(own.data))})",
            own.mean("plain training"),
            own.mean("auto"),
            own.told("auto"),
            own.told("auto", figure="worst"),
            own.told("auto", figure="accuracy"),
            own.counts("auto"),
            str(own.given_up("auto")),
            own.time("auto"),
        ]
        way = own.safe()
        cells = one_way[title]
        assert cells[:5] == [way, default[title][0], own.told(way), own.counts(way), own.time(way)]
        assert cells[6] == own.told("auto", way)
        best = own.best()
        lead = own.gain(best, "auto")[0]
        assert (title in ahead) == (lead > 0)
        if title in ahead:
            sure = own.gain(best, "auto", level=1 - 0.05 / len((*WAYS, *PEERS)))
            told = own.told(best, "auto", level=1 - 0.05 / len((*WAYS, *PEERS)))
            beyond = "too few sets" if sure[1] is None else "yes" if sure[0] > sure[1] else "no"
            assert ahead[title] == [best, told, str(own.given_up(best)), beyond]
    every = kinds["all"]
    assert set(time) == {
        "auto",
        "plain training",
        "half-balanced mixup",
        "balanced HAR at 0.3",
        "linear model",
        "cleanlab",
    }
    for way, cells in time.items():
        assert cells[1:] == [every.mean(way), every.told(way), str(every.given_up(way)), every.time(way)]


@pytest.mark.usefixtures("evidence")
def test_what_others_choose_leaves_out_the_set_that_it_is_held_on() -> None:
    lines = written()
    every = ByHand(lines)
    way = {
        source: ByHand([line for line, own in zip(lines, every.cluster, strict=True) if own != source]).safe()
        for source in set(every.cluster)
    }
    gains = [
        line["ways"][way[own]]["balanced"] - line["ways"]["plain training"]["balanced"]
        for line, own in zip(lines, every.cluster, strict=True)
    ]
    mean, half = every.interval(lambda rows: statistics.mean(gains[i] for i in rows))
    assert tables(page_of(lines))[1]["all"][5] == f"+{mean:.1f} ± {half:.1f}"


@pytest.mark.usefixtures("evidence")
@pytest.mark.parametrize("lead", [4.0, 0.0, -4.0])
def test_every_number_of_a_sentence_is_counted_from_the_lines(lead: float) -> None:
    lines = written(lead)
    page = page_of(lines)
    prose = re.sub(r"```[^`]*```|`[^`]*`|\([^()\s]*\.md\)|<!--[^>]*>|^\|.*$", "", page, flags=re.MULTILINE)
    named = {
        "95",
        "3",
        "0.5",
        "HAR at 0.3",
        "20",
        "150",
        "5",
        "50",
    }  # of intervals, clusters, up and down; names of kinds
    counted = set[str](named)
    kinds = parts(lines)
    sets = {name: ByHand([line for line in lines if line["run"].startswith(f"{name}/")]) for name in SETS}
    pairs = {line["run"].rpartition("/")[0] for line in lines}
    cells = {pair: ByHand([line for line in lines if line["run"].startswith(f"{pair}/")]) for pair in pairs}
    level = 1 - 0.05 / len((*WAYS, *PEERS))
    for own in (*kinds.values(), *sets.values(), *cells.values()):
        safe, best = own.safe(), own.best()
        told = [own.told("auto"), own.told(safe), own.told("auto", safe), own.told(best, "auto", level=level)]
        told += [own.told("auto", figure=figure) for figure in ("worst", "accuracy")]
        counted |= {
            number for text in (*told, own.counts("auto"), own.time("auto"), own.time(safe)) for number in numbers(text)
        }
    below = [sum(own.gain("auto")[0] < 0 for own in group.values()) for group in (sets, cells)]
    ahead = sum(own.gain(own.best(), "auto")[0] > 0 for own in sets.values())
    shown = {title: own.gain("auto") for title, own in kinds.items() if title != "all"}
    better = sum(half is not None and mean > half for mean, half in shown.values())
    ranks = by_rank(lines)
    other = min((name for name in ranks if name != "auto"), key=lambda name: statistics.mean(ranks[name]))
    place = 1 + sum(statistics.mean(rank) < statistics.mean(ranks["auto"]) for rank in ranks.values())
    lead_of = [a - b for a, b in zip(ranks[other], ranks["auto"], strict=True)]
    mean, half = kinds["all"].interval(lambda rows: statistics.mean(lead_of[i] for i in rows))
    counted |= {f"{abs(mean):.1f}", f"{half:.1f}", str(place), str(len(ranks)), str(better), str(ahead)}
    counted |= {f"{statistics.mean(ranks[name]):.1f}" for name in ("auto", other)}
    sizes = (len(lines), len(SETS), 3, 220, 1000, len(pairs), len(kinds) - 1, *below, kinds["all"].given_up("auto"))
    counted |= {f"{size:,}" for size in sizes}
    assert len(numbers(prose)) > 30
    assert {number for number in numbers(prose) if number not in counted} == set()


def numbers(text: str) -> list[str]:
    return re.findall(r"(?<![\w.])\d[\d,]*(?:\.\d+)?(?![\w])", re.sub(r"HAR at 0\.3|,(?= )", " ", text))


def by_rank(lines) -> dict[str, list[float]]:
    names = ("auto", *WAYS, *PEERS)
    return {
        name: [1 + sum(line["ways"][o]["balanced"] > line["ways"][name]["balanced"] for o in names) for line in lines]
        for name in names
    }


@pytest.mark.usefixtures("evidence")
def test_sentences_follow_the_sign_of_their_figures() -> None:
    good, level, bad = (page_of(written(lead)) for lead in (4.0, 0.0, -4.0))
    assert "**Take the default**" in good
    assert "it is first of" in " ".join(good.split())
    assert "**The default is not shown to be better than plain training**" in level
    assert "**Take plain training**" in bad
    for page in (level, bad):
        assert "**Take the default**" not in page
        assert "it is first of" not in " ".join(page.split())
    assert "On no kind of data is a fixed way better than the default" in good
    assert "A fixed way is better than the default beyond chance on all;" in " ".join(bad.split())
    assert "is worse beyond chance" in bad


@pytest.mark.usefixtures("evidence")
def test_an_interval_leaves_out_one_set_at_a_time() -> None:
    lines = importlib.import_module("evidence_lines")
    [run, *_] = lines.runs_of(written())
    runs = [replace(run, data=name, seed=seed) for name in "abcde" for seed in range(4)]
    values = [random.Random(k).gauss(0, 1) + "abcde".index(one.data) for k, one in enumerate(runs)]
    own = lines.by_set(runs, values)
    means = [statistics.mean(v for v, one in zip(values, runs, strict=True) if one.data == name) for name in "abcde"]
    of_means = mean_interval(means)
    assert (own.low, own.high) == (pytest.approx(of_means["low"]), pytest.approx(of_means["high"]))
    assert not lines.by_set(runs[:8], values[:8]).known, "two sets"
    same = [replace(one, data={"a": "b_minilm", "c": "d_minilm"}.get(one.data, one.data)) for one in runs]
    assert len(set(lines.clusters(same))) == 3
    assert lines.by_set(runs[:4], values[:4]).known, "of one set by seed"


@pytest.mark.usefixtures("evidence")
def test_the_interval_holds_the_mean_where_sets_have_unlike_numbers_of_runs() -> None:
    lines, rng = importlib.import_module("evidence_lines"), random.Random(0)
    [run, *_] = lines.runs_of(written())
    runs = [replace(run, data=name, seed=k) for name in "abcdefghijkl" for k in range(20 if name < "g" else 5)]
    held = 0
    for _ in range(300):
        effect = {name: rng.gauss(0, 1) for name in "abcdefghijkl"}
        found = lines.by_set(runs, [effect[one.data] + rng.gauss(0, 1) for one in runs])
        held += found.low <= 0 <= found.high
    assert 0.91 <= held / 300 <= 0.995


@pytest.mark.usefixtures("evidence")
def test_what_is_to_be_typed_is_the_candidate_of_that_name() -> None:
    typed, auto = importlib.import_module("choosing_tables").typed, Auto()
    task = replace(known(dataset(120)), words=(0, 3))
    candidates = auto.candidates(task)
    assert len(candidates) > 20
    for candidate in candidates:
        assert make_method(typed(auto.shown(candidate)), {}) == auto.method(candidate, task)
    several = make_method(typed("half-balanced mixup of three networks"), {})
    assert several == Ensemble(base=make_method(typed("half-balanced mixup"), {}), members=3)


def test_the_committed_pages_are_those_of_the_committed_lines(evidence) -> None:
    lines = importlib.import_module("evidence_lines")
    about, rows = lines.read_lines(KEPT)
    assert KEPT.stat().st_size < 300_000
    runs = lines.runs_of(rows)
    guide, results = ROOT / "docs" / "guide" / "choosing.md", ROOT / "docs" / "results" / "evidence.md"
    assert guide.read_text("utf-8") == page_of(rows), "see the command on top of the page"
    assert results.read_text("utf-8") == evidence.evidence_page.page(runs, about), "see the command on top of the page"


def test_lines_that_are_kept_are_the_same_bytes_and_give_the_same_page(evidence, tmp_path) -> None:
    lines = importlib.import_module("evidence_lines")
    rows, files = written(), [tmp_path / name for name in ("a.jsonl.gz", "b.jsonl.gz")]
    for file in files:
        lines.keep(file, {"rows": 1000, "torch": "2", "cpu": "one"}, rows)
    assert files[0].read_bytes() == files[1].read_bytes()
    evidence.main(["--from", str(files[0]), "--advice", str(tmp_path / "page.md")])
    assert (tmp_path / "page.md").read_text("utf-8") == page_of(rows)


def of_one_way(line):
    return line | {"ways": {"auto": line["ways"]["auto"]}}


def of_two(line):
    return line | {"ways": {name: line["ways"][name] for name in ("auto", "plain training")}}


def without_facts(line):
    return {name: own for name, own in line.items() if name != "facts"}


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("lines.jsonl", b"", "there is no run in them"),
        ("lines.jsonl", b"no line\n", "there is no run in them"),
        ("lines.jsonl", b"5\n", "a line is no run"),
        ("lines.jsonl", of_one_way, "has no 'plain training'"),
        ("lines.jsonl", of_two, "has no way beside auto and plain training"),
        ("lines.jsonl", without_facts, "has no facts of its data"),
        ("lines.jsonl.gz", b"", "can't be read"),
        ("lines.jsonl.gz", b"text", "can't be read"),
        ("lines.jsonl.gz", gzip.compress(b"{}\n", mtime=0), "can't be read"),
        ("lines.jsonl", None, "no such file"),
    ],
)
def test_lines_that_cannot_be_used_are_refused_in_one_line(evidence, tmp_path, capsys, name, content, said) -> None:
    file, page = tmp_path / name, tmp_path / "page.md"
    if callable(content):
        content = "".join(json.dumps(content(line)) + "\n" for line in written()).encode()
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(SystemExit) as refused:
        evidence.main(["--from", str(file), "--advice", str(page)])
    assert refused.value.code == 2
    [line] = capsys.readouterr().err.splitlines()
    assert said in line
    assert "benchmarks/evidence.py wrote" in line or "--data FOLDER" in line
    assert not page.exists()
