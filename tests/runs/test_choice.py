"""What was tried and what was taken: the sentence, the rows, and that every place shows the same ones."""

from __future__ import annotations

import re
from dataclasses import replace
from html import unescape

import pytest

from skedastic.cli.groups import show_choice
from skedastic.core.choice import Best, Gain, Trial
from skedastic.methods.stack import STACK
from skedastic.report.html import render
from skedastic.runs.choice import best_sentence, choice_of, choice_sentence
from tests.support.reports import EMPTY

BASE = "half-balanced HAR at 0.3"
LINEAR = Trial("linear model", BASE, Gain(0.076, 0.04), False, False, stage="linear", accuracy=-0.069)
HALF = Trial("mixup", BASE, Gain(-0.034, 0.042), True, False, half=True, stage="mixup", accuracy=-0.01)
CORRECTED = Trial("HAR, loss=corrected", BASE, Gain(0.08, 0.05), False, False, stage="har, corrected", accuracy=0.0)


def shown(*trials: Trial) -> list[tuple[str, ...]]:
    choice = choice_of(trials)
    assert choice is not None
    return [tuple(row) for row in choice.rows]


def test_the_rows_are_the_ways_and_the_base_the_best_first() -> None:
    taken = LINEAR._replace(chosen=True)
    assert shown(HALF, taken, CORRECTED) == [
        ("HAR, loss=corrected", "+8.0 ± 5.0", "0.0", "must be better by 2 s.e."),
        ("linear model", "+7.6 ± 4.0", "−6.9", "taken"),
        (BASE, "0", "0", "base"),
        ("mixup", "−3.4 ± 4.2", "−1.0", "tried on half of the rows; gives up a class"),
    ]
    choice = choice_of([HALF, taken])
    assert choice is not None
    assert choice.head == ("way", "gain ± s.e.", "accuracy gained", "note")
    assert "labels are as given, and some may be wrong" in choice.legend
    assert "better by 1 standard error and gives no class up without taking up two" in choice.legend
    assert shown(HALF)[0] == (BASE, "0", "0", "base; taken")
    assert choice_of([]) is None


def test_the_sentence_says_what_was_taken_against_what_and_how_sure_that_is() -> None:
    taken = LINEAR._replace(chosen=True)
    assert choice_sentence([taken, HALF]) == (
        f"linear model was taken: on labels that neither had seen, it was 7.6 points better than {BASE} in the mean "
        "over groups. That is 1.9 standard errors and may be chance. Over all rows its accuracy is 7 points less than "
        f"that of {BASE}; --optimize accuracy would count that"
    )
    at_a_prior = choice_sentence([taken._replace(criterion="accuracy")])
    assert at_a_prior.endswith(f"Over all rows its accuracy is 7 points less than that of {BASE}")
    for error, sure in ((0.03, "2.5 standard errors and is probably more than chance"), (0.02, "is hardly chance")):
        said = choice_sentence([taken._replace(gain=Gain(0.076, error), accuracy=-0.02)])
        assert said.endswith(sure)
    assert choice_sentence([HALF, HALF]) == (
        f"{BASE} was taken: on labels that none had seen, none of 2 other ways was better by more than a standard "
        "error in the mean over groups"
    )


def test_a_better_way_that_was_not_taken_has_a_note() -> None:
    wrong = LINEAR._replace(name="trees", stage="trees", gain=Gain(0.09, 0.01), went_wrong=True)
    rows = {row[0]: row[-1] for row in shown(LINEAR, wrong, CORRECTED, HALF)}
    assert rows["trees"] == "went wrong on all rows"
    assert rows["linear model"] == "not trained on all rows"
    assert choice_sentence([LINEAR, wrong, CORRECTED, HALF]).endswith(
        "3 of 4 other ways were better by more than a standard error in the mean over groups; their notes say why they "
        "were not taken"
    )
    assert "1 of 2 other ways was" in choice_sentence([wrong, HALF])


@pytest.mark.parametrize(
    ("criterion", "head", "cell", "words"),
    [
        ("worst", "gain ± s.e.", "+1.2 ± 0.4", "1.2 points better than plain in the worst group"),
        ("macro-f1", "gain in F1 ± s.e.", "+1.2 ± 0.4", "1.2 points better than plain in macro F1"),
        ("accuracy", "gain ± s.e.", "+1.2 ± 0.4", "1.2 points better than plain. That"),
        ("cost", "cost saved ± s.e.", "+0.012 ± 0.004", "less costly by 0.012 a row than plain"),
    ],
)
def test_the_unit_is_that_of_the_criterion(criterion: str, head: str, cell: str, words: str) -> None:
    trial = Trial("HAR", "plain", Gain(0.012, 0.004), False, True, criterion, stage="har", accuracy=0.012)
    choice = choice_of([trial])
    assert choice is not None
    assert (choice.head[1], choice.rows[0][1]) == (head, cell)
    assert words in choice.sentence
    assert "accuracy gained" not in choice.head, "it says the same as the gain"


def test_a_choice_of_an_older_run_is_shown_without_what_it_does_not_say() -> None:
    older = {"name": "HAR", "other": "plain", "gain": {"mean": 0.012, "error": 0.004}, "gives_up": False}
    trial = Trial.from_dict({**older, "chosen": True})
    assert trial.accuracy is None
    assert Trial.from_dict({**older, "chosen": True, "stage": "", "accuracy": 0.0}).accuracy is None
    choice = choice_of([trial])
    assert choice is not None
    assert choice.head == ("way", "gain ± s.e.", "note")
    assert choice.rows == (("HAR", "+1.2 ± 0.4", "taken"), ("plain", "0", "base"))
    assert "is taken unless" not in choice.legend
    assert Trial.from_dict(LINEAR.to_dict()) == LINEAR


def test_page_and_terminal_show_the_same_rows(capsys) -> None:
    choice = choice_of([LINEAR._replace(chosen=True), HALF])
    assert choice is not None
    html = render(replace(EMPTY, choice=choice, next_steps=("review the labels of a first.",)))
    text = " ".join(unescape(re.sub(r"<style>.*?</style>|<[^>]+>", " ", html, flags=re.DOTALL)).split())

    class Summary:
        trials = (LINEAR._replace(chosen=True), HALF)

    show_choice(Summary())
    said = re.sub(r"\s+", " ", capsys.readouterr().out)
    for row in choice.rows:
        for where in (text, said):
            assert " ".join(cell for cell in row if cell) in where
    assert said.startswith(f"Choice: {choice.sentence}. ")
    assert said.strip().endswith(choice.legend)
    assert f"L{choice.sentence[1:]}." in text
    assert choice.legend in text
    assert "What to do next Review the labels of a first." in text


def test_gains_by_absolute_error_are_named_so() -> None:
    taken = Trial("weighted mean of a (60%) and b (40%)", "b", Gain(0.035, 0.01), False, True, "mae", stage=STACK)
    choice = choice_of([taken])
    assert choice is not None
    assert "in mean absolute error" in choice.sentence
    assert choice.legend.endswith("The base is taken unless it is better by 1 standard error.")
    assert best_sentence(Best("b", -0.5, "mae", None)) == "b, mean absolute error 0.5 on rows not seen"


def test_gains_of_numbers_are_per_cent_of_the_error_of_rows() -> None:
    mean, other = "weighted mean of a (60%) and b (40%)", "mean of a and b"
    taken = Trial(mean, other, Gain(0.035, 0.01), False, True, criterion="rmse", stage=STACK)
    alone = Trial("a", other, Gain(0.041, 0.01), False, False, criterion="rmse", stage="a")
    assert choice_sentence([alone, taken]) == (
        f"{mean} was taken: on rows that neither had seen, it was 3.5 % better than {other} in root mean squared "
        "error. That is 3.5 standard errors and is hardly chance"
    )
    assert shown(alone, taken) == [
        ("a", "+4.1 ± 1.0", "counts in the weighted mean alone"),
        (STACK, "+3.5 ± 1.0", "taken"),
        (other, "0", "base"),
    ]
    choice = choice_of([alone, taken])
    assert choice is not None
    assert choice.head == ("way", "error saved, % ± s.e.", "note")
    assert "in per cent of its error, on rows not trained on; their targets are as given" in choice.legend
    for words in ("label", "class", "accuracy", "points"):
        assert words not in choice.legend + choice.sentence
    assert best_sentence(Best(mean, -12.34, "rmse over groups", taken)) == (
        f"{mean}, root mean squared error over groups 12.3 on rows not seen, 3.5 % better than {other}"
    )
