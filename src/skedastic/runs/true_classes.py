"""Probabilities of the true classes, from a network that was trained on labels that go wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, get_args

from skedastic.core.transitions import Transitions, of_true_classes
from skedastic.errors import UserError, check_choice
from skedastic.methods.bases.card import ProbabilitiesOf
from skedastic.noise.true_labels import MOST_CLASSES
from skedastic.noise.wrong_labels import UNLIKE_TEST
from skedastic.runs.calibration import Calibrate
from skedastic.runs.summary import RunSummary

Labels = Literal["given", "true", "auto"]
LEAST = 1e-6  # probabilities below are rounded up, as where T is fitted
LABELS_ALONE = (
    "the estimate is for plain training, and the network was trained otherwise: its probabilities are not those "
    "of the labels, and it may predict the true classes already"
)


def true_classes(
    summary: RunSummary, of: ProbabilitiesOf, labels: Labels, calibrate: Calibrate, say: Callable[[str], None]
) -> Calibrate:
    """Return the function that probabilities [n, C] go through before they are used.

    Parameters
    ----------
    summary : RunSummary
        The run that predicts.
    of : str
        What the network's probabilities are of, as the method of its last stage says.
    labels : str
        "given" leaves probabilities as they are, and so does each where the network predicts the true classes by
        itself. "true" makes p those of the true classes, p T⁻¹ bent above 0, by the estimate of how labels go wrong.
        "auto" does so where the network was trained plainly, T explains held-out labels better by two standard errors,
        and every class keeps its predictions.
    calibrate : callable
        What probabilities go through first: a temperature is one of labels.
    say : callable
        Is told what auto chose and why, or what speaks against the true classes that were asked for.

    Raises
    ------
    UserError
        It is none of the three; or the true classes are asked for, and nothing tells how labels go wrong.
    """
    check_choice("labels", labels, get_args(Labels))
    if labels == "given":
        return calibrate
    if of == "true classes":
        say("the network predicts the true classes by itself: its loss was corrected")
        return calibrate
    known, impossible = summary.transitions, _impossible(summary)
    doubt = "" if known is None else _doubt(known, of) or _of_test(summary)
    if labels == "auto" and (against := impossible or doubt):
        say(f"the labels are predicted, and not the true classes: {against}")
        return calibrate
    if impossible:
        raise UserError(f"{impossible}; leave it out", setting="labels", value=labels)
    assert known is not None, "or it is impossible"
    say(f"the true classes are predicted, {f'but {doubt}' if doubt else f'by how labels go wrong: {_gain(known)}'}")
    matrix = known.matrix
    return lambda probabilities: of_true_classes(calibrate(probabilities).clamp_min(LEAST), matrix)


def _impossible(summary: RunSummary) -> str:
    """Return why the true classes can't be had, or nothing."""
    if not summary.target.has_probabilities:
        return "this model predicts numbers, which have no true classes"
    if summary.transitions is None:
        many = f", since it has more than {MOST_CLASSES} classes" if len(summary.classes) > MOST_CLASSES else ""
        return f"this run has no estimate by held-out predictions that tells how labels go wrong{many}"
    return ""


def _doubt(known: Transitions, of: ProbabilitiesOf) -> str:
    """Return what speaks against the true classes, or nothing."""
    if of != "labels":
        return LABELS_ALONE
    if known.gives_up:
        return "a class would lose more than half of its predictions"
    return "" if known.sound else f"the estimate of how labels go wrong is not sure enough: {_gain(known)}"


def _of_test(summary: RunSummary) -> str:
    """Return that test labels speak against the estimate, or nothing."""
    found = summary.findings
    unlike = found is not None and UNLIKE_TEST in found.wrong_withheld
    return "test labels are predicted far less well than training labels, so how labels go wrong is not known" * unlike


def _gain(known: Transitions) -> str:
    """Return in words how much better T explains held-out labels."""
    mean, error = known.gain
    return f"it changes the log likelihood of a held-out label by {mean:+.4f} (± {2 * error:.4f}, two standard errors)"
