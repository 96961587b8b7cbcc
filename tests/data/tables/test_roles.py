"""Roles of columns, beside features: groups, annotators, splits, rows that belong together, corrected labels."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import skedastic as sk
from skedastic.cli import main
from skedastic.data import Source, folds, open_source, split_rows, with_corrections
from skedastic.methods.bases.card import MIXED
from skedastic.pipeline.prepare import open_data, prepare
from skedastic.settings.config import Config
from tests.support.refusals import refused

N = 60
QUICK: dict[str, Any] = {"train": sk.TrainingConfig(epochs=1), "method": "erm"}


def frame() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    y = np.arange(N) % 3
    return pd.DataFrame(
        {
            "x": rng.normal(size=N) + y,
            "age": rng.integers(20, 80, N),
            "ward": np.array(["n", "s"])[np.arange(N) // 2 % 2],
            "sex": np.array(["f", "m"])[np.arange(N) // 4 % 2],
            "label": np.array(["a", "b", "c"])[y],
        }
    )


def test_groups_of_several_columns() -> None:
    source = open_source(frame(), target="label", groups="ward,sex")
    assert source.groups == ("n, f", "n, m", "s, f", "s, m")
    pairs = frame()["ward"] + ", " + frame()["sex"]
    assert [source.groups[g] for g in source.group] == pairs.tolist()
    assert list(source.features) == ["x", "age", "ward", "sex"]
    test = open_source(frame().iloc[:3], target="label", groups="ward,sex", schema=source.schema)
    assert test.group.tolist() == source.group[:3].tolist()
    with refused("frame, groups column", "sexe", rule="did you mean 'sex'?"):
        open_source(frame(), target="label", groups="ward,sexe")
    holes = frame().assign(sex=[None, *["m"] * (N - 1)])
    with refused("frame, row 0, column 'sex'", None):
        open_source(holes, target="label", groups="ward,sex")


def test_groups_of_quantiles() -> None:
    source = open_source(frame(), target="label", groups="quantiles:age:4")
    assert len(source.groups) == 4
    assert source.group.bincount().min() > 10
    edges = source.grouping.column_bins.edges
    assert source.group.tolist() == np.searchsorted(edges, frame()["age"], side="right").tolist()
    young = open_source(frame().assign(age=1), target="label", groups="quantiles:age:4", schema=source.schema)
    assert young.group.unique().tolist() == [0]
    assert len(open_source(frame(), target="label", groups="quantiles:x").groups) == 10
    with refused("frame, row 0, column 'ward'", "n", rule="numbers"):
        open_source(frame(), target="label", groups="quantiles:ward:3")
    with refused("groups", "quantiles:age:0"):
        open_source(frame(), target="label", groups="quantiles:age:0")
    five = frame().rename(columns={"age": "5"})
    assert len(open_source(five, target="label", groups="quantiles:5").groups) == 10
    real = open_source(frame(), target="x", groups="quantiles:age:4", task="regression")
    assert (real.grouping.target_bins, len(real.groups)) == (None, 4)


def test_groups_of_super_classes(tmp_path: Path) -> None:
    (tmp_path / "above.csv").write_text("label,above\na,vowel\nb,consonant\nc,consonant\n")
    (tmp_path / "above.json").write_text(json.dumps({"a": "vowel", "b": "consonant", "c": "consonant"}))
    for ending in ("csv", "json"):
        source = open_source(frame(), target="label", groups=f"superclass:{tmp_path / 'above'}.{ending}")
        assert source.groups == ("consonant", "vowel")
        assert source.group.tolist() == [1, 0, 0] * 20
    (tmp_path / "above.json").write_text(json.dumps({"a": "vowel"}))
    with refused(f"{tmp_path / 'above.json'}, label in it", "b"):
        open_source(frame(), target="label", groups=f"superclass:{tmp_path / 'above.json'}")
    with refused("groups", "superclass:f.csv", rule="only classes have super-classes"):
        open_source(frame(), target="x", groups="superclass:f.csv")
    with refused("f.csv", None, rule="no such file"):
        open_source(frame(), target="label", groups="superclass:f.csv")
    with refused("f.txt", None, rule="a table must end in .csv"):
        open_source(frame(), target="label", groups="superclass:f.txt")


def test_a_column_says_which_rows_are_for_testing() -> None:
    split = np.array(["train", "Test", "train", "valid"])[np.arange(N) % 4]
    source = open_source(frame().assign(split=split), target="label", split="split")
    assert "split" not in source.features.kinds
    assert any("15 rows for validation" in r for r in source.notes)
    data = prepare(Config(split="split"), source, None)
    assert data.test.index.tolist() == list(range(1, N, 4))
    assert sorted(data.train.index.tolist()) == [i for i in range(N) if i % 4 in (0, 2)]
    no_test = open_source(
        frame().assign(split=np.where(split == "Test", "train", split)), target="label", split="split"
    )
    assert no_test.test_rows.tolist() == list(range(3, N, 4))
    with refused("frame, row 0, column 'split'", "tset"):
        open_source(frame().assign(split=["tset"] * N), target="label", split="split")
    with refused("frame, column 'split'", None, rule="no row test"):
        open_source(frame().assign(split="train"), target="label", split="split")
    with refused("frame, split column", "splt"):
        open_source(frame(), target="label", split="splt")


def test_a_class_of_test_rows_only_is_told() -> None:
    split = np.where(np.arange(N) < N - 4, "train", "test")
    rows = frame().assign(split=split)
    rows.loc[split == "test", "label"] = "late"
    note = "no training row has these labels, so the model can't learn them: late"
    assert note in open_source(rows, target="label", split="split").notes
    assert note not in open_source(frame().assign(split=split), target="label", split="split").notes


@pytest.mark.parametrize("k", [2, 5])
def test_rows_that_belong_together_stay_together(k: int) -> None:
    patient = np.arange(N) // 3
    source = open_source(frame().assign(patient=patient), target="label", group_by="patient")
    assert "patient" not in source.features.kinds
    train, test = split_rows(source, 0.25, seed=0)
    assert not set(patient[train]) & set(patient[test])
    assert 10 <= len(test) <= 20
    assert set(source.y[test].tolist()) == {0, 1, 2}
    fold = folds(source.group, source.y, k, 0, source.unit).numpy()
    assert all(len(set(fold[patient == p])) == 1 for p in set(patient))
    assert len(set(fold)) == k
    single = open_source(frame().assign(patient=1), target="label", group_by="patient")
    with refused("group_by", None, rule="2 parts need at least 2"):
        split_rows(single, 0.25, seed=0)


def corrected(folder: Path, text: str) -> str:
    (folder / "c.csv").write_text(text)
    return str(folder / "c.csv")


def test_corrected_labels_take_the_place_of_those_given(tmp_path: Path) -> None:
    source = open_source(frame(), target="label")
    new = with_corrections(source, corrected(tmp_path, "row,corrected,given\n0,b,a\n1,,b\n4,remove,b\n5,c,c\n"))
    assert (new.y != source.y).nonzero().flatten().tolist() == [0]
    assert new.classes[new.y[0]] == "b"
    assert new.group.tolist() == new.y.tolist(), "the groups are the labels"
    assert new.notes[-1].endswith("c.csv: 1 label corrected, 1 row removed, 3 of 4 lines filled in")
    data = prepare(Config(test="none"), new, None)
    assert 4 not in data.train.index.tolist()
    assert len(data.train) == N - 1
    assert 4 not in torch.cat(split_rows(new, 0.3, 0)).tolist()
    real = with_corrections(open_source(frame(), target="x"), corrected(tmp_path, "index,label\n3,1.25\n"))
    assert real.y[3] == 1.25
    for text, place, value, rule in (
        ("row,corrected\n60,a\n", "c.csv, line 2, column 'row'", "60", "rows 0 to 59"),
        ("row,corrected\n1.5,a\n", "c.csv, line 2, column 'row'", "1.5", "no row"),
        ("row,corrected\n1,a\n\n1,b\n", "c.csv, line 4, column 'row'", 1, "corrected twice, first in c.csv, line 2"),
        ("row,corrected\n1,z\n", "c.csv, line 2, column 'corrected'", "z", "does not occur"),
        ("row,right\n1,a\n", "c.csv", "corrected", "no column 'corrected' (nor 'label')"),
        ("corrected\na\n", "c.csv", "row", "no column 'row' (nor 'index')"),
    ):
        with refused(place, value, rule=rule):
            with_corrections(source, corrected(tmp_path, text))
    of_others = corrected(tmp_path, "row,given,corrected\n" + "".join(f"{i},a,b\n" for i in range(9)))
    with refused("labels", of_others, rule="6 of the 9 rows have other labels in the source, so"):
        with_corrections(source, of_others)
    of_others = corrected(tmp_path, "row,given,corrected\n" + "".join(f"{i},c,remove\n" for i in range(9)))
    with refused("labels", of_others, rule="6 of the 9 rows have other labels in the source, so"):
        with_corrections(source, of_others)
    numbers = open_source(frame(), target="x")
    of_others = corrected(tmp_path, "row,given,corrected\n" + "".join(f"{i},99,1.5\n" for i in range(9)))
    with refused("labels", of_others, rule="9 of the 9 rows have other labels in the source, so"):
        with_corrections(numbers, of_others)
    again = with_corrections(new, corrected(tmp_path, "row,given,corrected\n0,a,b\n"))
    assert "1 of the 1 rows have other labels" in again.notes[-1], "the source holds the corrections already"
    for name, rule in (("absent.csv", "no such file"), ("notes.md", "must end in .csv")):
        with refused(str(tmp_path / name), None, rule=rule):
            with_corrections(source, str(tmp_path / name))
    parts = frame().assign(split=np.where(np.arange(N) < 10, "test", "train"))
    split = with_corrections(
        open_source(parts, target="label", split="split"), corrected(tmp_path, "row,corrected\n4,remove\n")
    )
    assert prepare(Config(split="split"), split, None).test.index.tolist() == [0, 1, 2, 3, 5, 6, 7, 8, 9]


def test_votes_of_several_columns() -> None:
    voted = frame().assign(
        anna=frame()["label"], ben=["c", *frame()["label"][1:]], carl=["c", None, *frame()["label"][2:]]
    )
    source = open_source(voted.drop(columns="label"), annotators=["anna", "ben", "carl"])
    assert source.classes == ("a", "b", "c")
    assert source.target.column == "anna, ben, carl"
    assert list(source.features) == ["x", "age", "ward", "sex"]
    assert source.classes[source.y[0]] == "c", "the majority's"
    torch.testing.assert_close(source.annotations.soft[0], torch.tensor([1 / 3, 0, 2 / 3]))
    torch.testing.assert_close(source.annotations.soft[1], torch.tensor([0.0, 1, 0]))
    torch.testing.assert_close(
        source.annotations.disagreement(source.y)[0], torch.tensor(1 / 3, dtype=torch.float64), atol=1e-7, rtol=0
    )
    named = open_source(voted, target="label", annotators=["anna", "ben", "carl"])
    assert named.classes[named.y[0]] == "a", "the target's, where there is one"
    nobody = voted.assign(
        anna=[None, *voted["anna"][1:]], ben=[None, *voted["ben"][1:]], carl=[None, *voted["carl"][1:]]
    )
    with refused("frame, row 0, column 'anna'", None, rule="no label or rating"):
        open_source(nobody, annotators=["anna", "ben", "carl"])
    with refused("frame, row 0, column 'ben'", "z", rule="no class of the target"):
        open_source(voted.assign(ben="z"), target="label", annotators=["anna", "ben"])
    with refused("frame, annotators column", "bne", rule="did you mean 'ben'?"):
        open_source(voted, annotators=["anna", "bne"])


@pytest.mark.parametrize("first", [-1, 0, 1, 7])
def test_labels_of_annotators_that_are_numbers_are_not_positions(first: int) -> None:
    said = [[first + i % 3, first + i % 3, first + (i + 1) % 3] for i in range(N)]
    rated = frame().drop(columns="label").assign(said=said)
    source = open_source(rated, annotators=["said"], task="classification")
    assert source.classes == tuple(str(first + c) for c in range(3))
    assert source.y.tolist() == [i % 3 for i in range(N)]
    assert source.notes == ()
    torch.testing.assert_close(source.annotations.soft[1], torch.tensor([0, 2 / 3, 1 / 3]))
    again = open_source(rated.iloc[1:], annotators=["said"], task="classification", schema=source.schema)
    assert again.y.tolist() == [i % 3 for i in range(1, N)]


def test_votes_as_counts_and_as_lists() -> None:
    counts = [[3, 1, 0] if i % 2 else [0, 2, 1] for i in range(N)]
    source = open_source(frame().drop(columns="label").assign(votes=counts), annotators=["counts:votes"])
    assert source.classes == ("0", "1")
    assert "left out: 30 votes for 2, the label of no row" in source.notes


@pytest.mark.parametrize("names", [("no", "yes"), ("zno", "yes")])
def test_ties_go_to_no_class_by_its_name(names: tuple[str, str]) -> None:
    said = [[names[i % 2]] * 2 if i % 4 < 2 else list(names) for i in range(400)]
    votes = pd.DataFrame({"x": np.arange(400) % 7, "said": said})
    source, again = (open_source(votes, annotators=["said"]) for _ in range(2))
    labels = np.array(source.classes)[source.y]
    assert labels.tolist() == np.array(again.classes)[again.y].tolist()
    tied = np.arange(400) % 4 >= 2
    assert labels[~tied].tolist() == [names[i % 2] for i in np.flatnonzero(~tied)]
    assert 70 < (labels[tied] == "yes").sum() < 130
    note = "200 rows of 400 with as many votes for several classes: one of these was drawn, the same each time"
    assert note in source.notes
    spelt = open_source(votes.assign(said=[["Yes", "no", "no"], ["yes", "yes", "no"]] * 200), annotators=["said"])
    assert (
        "said: votes that differ in case or spaces only: yes (400), Yes (200); if they are one, write them alike"
        in (spelt.notes)
    )


def test_counts_name_their_classes() -> None:
    counts = [np.roll([3, 1, 0], i % 3).tolist() for i in range(N)]
    source = open_source(frame().drop(columns="label").assign(votes=counts), annotators=["counts:votes"])
    assert source.classes == ("0", "1", "2")
    assert source.y.tolist() == [i % 3 for i in range(N)]
    torch.testing.assert_close(source.annotations.soft[1], torch.tensor([0, 0.75, 0.25]))
    lists = [[c] * 2 + [d] for c, d in zip("abc" * 20, "bca" * 20, strict=True)]
    listed = open_source(frame().drop(columns="label").assign(said=lists), annotators=["said"])
    assert listed.y.tolist() == [i % 3 for i in range(N)]
    for cell in ([1, 2], [0, 0, 0], [-1, 2, 2], None):
        wrong = [*counts[:5], cell, *counts[6:]]
        with refused("frame, row 5, column 'votes'", str(cell), rule="must be 3 counts, none below 0 and not all 0"):
            open_source(frame().assign(votes=wrong), annotators=["counts:votes"])
    with refused("annotators", "counts:votes,ward", rule="name it alone"):
        open_source(frame().assign(votes=counts), annotators=["counts:votes", "ward"])
    with refused("frame, column 'ward'", None, rule="a list in each cell"):
        open_source(frame(), annotators=["counts:ward"])


def test_ratings_have_a_mean_and_a_measured_noise() -> None:
    rng = np.random.default_rng(1)
    ratings = [rng.normal(i % 5, 1, 3 + i % 4).tolist() for i in range(N)]
    source = open_source(frame().drop(columns="label").assign(said=ratings), annotators=["said"], groups="ward")
    assert source.classes == ()
    np.testing.assert_allclose(source.y, [np.mean(r) for r in ratings])
    expected = [np.var(r, ddof=1) / len(r) for r in ratings]
    np.testing.assert_allclose(source.annotations.disagreement(source.y), expected)
    result = sk.fit(
        frame().drop(columns="label").assign(said=ratings), annotators=["said"], groups="ward",
        estimate=sk.Estimation(kind="annotators"), test=None, **QUICK,
    )  # fmt: skip
    ward = frame()["ward"].to_numpy()
    np.testing.assert_allclose(result.group_stats.uncertainty, [np.mean(np.array(expected)[ward == w]) for w in "ns"])
    words = [["a lot"], *ratings[1:]]
    with refused("frame, row 0, column 'said'", "a lot", rule="no number"):
        open_source(frame().assign(said=words), annotators=["said"], task="regression")


def voted() -> pd.DataFrame:
    other = np.roll(frame()["label"].to_numpy(), 1)
    return frame().assign(
        anna=frame()["label"], ben=frame()["label"], carl=np.where(np.arange(N) % 3 == 0, other, frame()["label"])
    )


def test_disagreement_takes_the_place_of_the_estimate_and_votes_are_trained_on() -> None:
    people = ["anna", "ben", "carl"]
    result = sk.fit(
        voted(),
        target="label",
        method="har",
        annotators=people,
        estimate=sk.Estimation(kind="annotators"),
        train=sk.TrainingConfig(epochs=1),
    )
    np.testing.assert_allclose(result.group_stats.uncertainty, [1 / 3, 0, 0], atol=1e-7)
    assert result.strengths.argmax() == 0
    data = open_data(Config(test="none"), open_source(voted(), target="label", annotators=people))
    torch.testing.assert_close(data.train.batch_targets, data.source.annotations.soft)
    gce = sk.fit(
        voted(),
        target="label",
        annotators=people,
        method="gce",
        train=sk.TrainingConfig(epochs=1),
        estimate=sk.Estimation(kind="none"),
    )
    assert MIXED in gce.method.capabilities.incompatible_with
    assert any("trains on the label of each row, not on the shares of the votes" in r for r in gce.notes)
    with refused("estimate.kind", "annotators", rule="name their columns with --annotators"):
        sk.fit(frame(), target="label", estimate=sk.Estimation(kind="annotators"), **QUICK)
    with refused("noise", "uniform:0.2", rule="annotators' votes"):
        sk.fit(voted(), target="label", annotators=people, noise="uniform:0.2", **QUICK)


def test_soft_labels_are_those_of_the_votes_to_the_bit() -> None:
    """Votes that all agree train what the labels train."""
    same = frame().assign(anna=frame()["label"], ben=frame()["label"])
    soft = sk.fit(same, target="label", annotators=["anna", "ben"], estimate=sk.Estimation(kind="none"), **QUICK)
    hard = sk.fit(frame(), target="label", estimate=sk.Estimation(kind="none"), **QUICK)
    for a, b in zip(soft.net.parameters(), hard.net.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)


def test_corrected_rows_have_one_vote(tmp_path: Path) -> None:
    source: Source = open_source(voted(), target="label", annotators=["anna", "ben", "carl"])
    new = with_corrections(source, corrected(tmp_path, "row,corrected\n0,c\n"))
    assert new.annotations.soft[0].tolist() == [0, 0, 1]
    assert new.annotations.disagreement(new.y)[0] == 0


def test_disagreement_stands_beside_the_estimate(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    frame = voted().sample(300, replace=True, random_state=0, ignore_index=True)
    frame["quarter"] = np.random.default_rng(0).choice(["q1", "q2", "q3", "q4"], 300, p=[0.4, 0.3, 0.2, 0.1])
    frame.to_csv(tmp_path / "voted.csv", index=False)
    line = ["estimate", str(tmp_path / "voted.csv"), "--target", "label", "--epochs", "2", "--estimate-with", "model"]
    people = [word for name in ("anna", "ben", "carl") for word in ("--annotators", name)]
    main([*line, *people, "--json"])
    against = (frame[["anna", "ben", "carl"]].ne(frame["label"], axis=0)).mean(axis=1)
    expected = against.groupby(frame["label"]).mean()
    np.testing.assert_allclose(json.loads(capsys.readouterr().out)["measured_noise"], expected, atol=1e-6)
    main([*line, *people])
    out = capsys.readouterr().out
    assert "annotators" in out
    assert "Spearman" not in out, "three groups have four ranks at most"
    main([*line, *people, "--groups", "quarter"])
    assert "Spearman correlation of disagreement and annotators' disagreement over 4 groups" in capsys.readouterr().out
    main([*line, *people, "--set", "estimate.kind=annotators"])
    out = capsys.readouterr().out
    assert "Spearman" not in out, "the estimate is theirs"
    assert "measured by the annotators" in out
    main(["fit", *line[1:], *people, "--set", "estimate.kind=annotators", "--out", str(tmp_path / "run")])
    said, page = capsys.readouterr().out, (tmp_path / "run" / "report.html").read_text()
    disputed = int((frame["anna"].ne(frame["label"]).astype(int) + frame["carl"].ne(frame["label"]) > 1).sum())
    assert f"{disputed} labels to check, which most annotators disagree with" in said
    assert "How far are annotators from the labels?" in page
    assert "The score is the share of the votes for the given label." in page
    for text in (said, page, (tmp_path / "run" / "README.md").read_text()):
        assert "held-out predictions" not in text.lower()


def test_a_test_source_may_have_votes_for_labels_too() -> None:
    people = ["anna", "ben", "carl"]
    source = open_source(voted().drop(columns="label"), annotators=people)
    test = open_source(voted().drop(columns="label").iloc[:7], annotators=people, schema=source.schema)
    assert test.classes == source.classes
    assert test.y.tolist() == source.y[:7].tolist()
    given = open_source(voted(), target="label", annotators=people)
    plain = open_source(frame(), target="label", annotators=people, schema=given.schema)
    assert plain.y.tolist() == given.y.tolist(), "a test set needs no votes"
    said = [[i, i + 2.5] for i in range(N)]
    ratings = frame().drop(columns="label").assign(said=said)
    real = open_source(ratings, annotators=["said"])
    assert open_source(ratings, annotators=["said"], schema=real.schema).y.tolist() == real.y.tolist()
