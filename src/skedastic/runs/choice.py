"""What was taken of several ways of training: one sentence, and a table of the ways that were tried."""

from __future__ import annotations

from collections.abc import Sequence

from skedastic.core.choice import Best, Gain, Trial
from skedastic.core.criteria_of_numbers import OVER_GROUPS
from skedastic.evaluation.metric import ACCURACY
from skedastic.evaluation.metrics import COST
from skedastic.methods.auto import CORRECTED
from skedastic.methods.bases.standing import SURE, SURER
from skedastic.methods.stack import STACK
from skedastic.report.content import Choice

MUCH_ACCURACY = 0.03  # lost by a choice, which is said
CRITERIA = {
    "balanced": ("gain", " in the mean over groups"),
    "accuracy at the prior": ("gain at the prior", " in accuracy at the prior"),
    "worst": ("gain", " in the worst group"),
    "macro-f1": ("gain in F1", " in macro F1"),
    "auc": ("gain in AUC", " in the area under the ROC curve"),
    COST: ("cost saved", ""),
}  # the head of the column of gains, and the words in a sentence
SCORES = {
    "balanced": "mean accuracy over groups",
    "worst": "accuracy in the worst group",
    "accuracy": "accuracy",
    "accuracy at the prior": "accuracy at the prior",
    "macro-f1": "macro F1",
    "auc": "area under the ROC curve",
    COST: "cost",
}  # of one way
ERRORS = {"rmse": "root mean squared error", "mae": "mean absolute error"}
OF_ERRORS = {name + over: said + over for name, said in ERRORS.items() for over in ("", OVER_GROUPS)}
SCORES |= OF_ERRORS  # whose gains are shares of the base's error
CRITERIA |= {name: ("error saved, %", f" in {said}") for name, said in OF_ERRORS.items()}
LIKELY, HARDLY_CHANCE = 2.0, 3.0  # standard errors
SAME = 1e-9  # of two figures


def choice_of(trials: Sequence[Trial]) -> Choice | None:
    """Return the choice as it is shown everywhere; None where nothing was tried.

    Parameters
    ----------
    trials : sequence of Trial
        The ways that were held against one and the same; those of older runs too.
    """
    if not trials:
        return None
    head = ("way", f"{CRITERIA.get(trials[0].criterion, ('gain',))[0]} ± s.e.")
    sentence, left_out = choice_sentence(trials), [trial for trial in trials if trial.left_out]
    other, trials = trials[0].other, [trial for trial in trials if not trial.left_out]
    told = _tells_accuracy(trials)
    rows = [(_in_table(t), _gain(t), *[_points(t.accuracy)] * told, _note(t, trials)) for t in trials]
    rows.append((other, "0", *["0"] * told, "; ".join(["base", *["taken"] * (not _taken(trials))])))
    gains = [*(trial.gain.mean for trial in trials), 0.0]
    best_first = sorted(range(len(rows)), key=gains.__getitem__, reverse=True)
    return Choice(
        sentence=sentence,
        head=(*head, *["accuracy gained"] * told, "note"),
        rows=(
            *(rows[i] for i in best_first),
            *((t.name, "", *[""] * told, f"left out: {t.left_out}") for t in left_out),
        ),
        legend=_legend(trials, told),
    )


def choice_sentence(trials: Sequence[Trial]) -> str:
    """Return which way of training was taken, against which, by how much, and how sure that is."""
    taken, other, reasons = _taken(trials), trials[0].other, {trial.left_out for trial in trials}
    trials = [trial for trial in trials if not trial.left_out]
    if not trials:
        why = reasons.pop() if len(reasons) == 1 else "the notes of the others say why"
        return f"{other} was taken, and held against nothing: {why}"
    where = f"on {_seen(trials[0])} that {'neither' if taken or len(trials) == 1 else 'none'} had seen"
    if taken is not None:
        by = f"{size_of_gain(taken)} than {other}{criterion_in_words(taken)}"
        sentence = f"{taken.name} was taken: {where}, it was {by}{_how_sure(taken.gain)}"
        if taken.accuracy is not None and -taken.accuracy > MUCH_ACCURACY:
            lost = f"{100 * -taken.accuracy:.0f} points less than that of {other}"
            sentence += f". Over all rows its accuracy is {lost}"
            sentence += "; --optimize accuracy would count that" * (not taken.criterion.startswith("accuracy"))
        return sentence
    if len(trials) == 1:
        (trial,) = trials
        by = f"{size_of_gain(trial)}{criterion_in_words(trial)}{_how_sure(trial.gain)}"
        why = ", ".join(_why_not(trial, trials))
        return f"{other} was taken: {where}, {trial.name} was {by}{f' ({why})' if why else ''}"
    ahead = [trial for trial in trials if _errors(trial.gain) > SURE]
    better = len(ahead)
    ways = f"{better or 'none'} of {len(trials)} other ways {'were' if better > 1 else 'was'}"
    notes = "its note says why it was" if better == 1 else "their notes say why they were"
    why = f"; {notes} not taken" if better and all(_why_not(trial, trials) for trial in ahead) else ""
    by = f"better by more than a standard error{criterion_in_words(trials[0])}"
    return f"{other} was taken: {where}, {ways} {by}{why}"


def criterion_in_words(trial: Trial) -> str:
    """Return what a gain is in, such as " in the mean over groups"; nothing where that is the accuracy of all rows."""
    return CRITERIA.get(trial.criterion, ("", ""))[1]


def size_of_gain(trial: Trial) -> str:
    """Return how much better or worse a way was, such as "1.2 points better"."""
    mean = trial.gain.mean
    if trial.gain == Gain(0.0, 0.0):
        return "no better"
    size = _of_criterion(abs(mean), trial)
    if trial.criterion == COST:
        return f"{'less' if mean >= 0 else 'more'} costly by {size} a row"
    unit = "%" if trial.criterion in OF_ERRORS else "points"
    return f"{size} {unit} {'better' if mean >= 0 else 'worse'}"


def _taken(trials: Sequence[Trial]) -> Trial | None:
    return next((trial for trial in trials if trial.chosen), None)


def _how_sure(gain: Gain) -> str:
    """Return how sure a difference is, in plain words."""
    errors = abs(_errors(gain))
    words = "may be chance" if errors < LIKELY else "is probably more than chance"
    words = words if errors < HARDLY_CHANCE else "is hardly chance"
    return f". That is {errors:.1f} standard errors and {words}" if gain.error else ""


def _errors(gain: Gain) -> float:
    """Return a gain in standard errors."""
    return gain.mean / gain.error if gain.error else 0.0


def _in_table(trial: Trial) -> str:
    """Return the name of a way in the table: of a weighted mean without its weights, which the sentence has."""
    return STACK if trial.stage == STACK and trial.name.startswith(STACK) else trial.name


def _note(trial: Trial, trials: Sequence[Trial]) -> str:
    return "; ".join(["taken"] * trial.chosen + _why_not(trial, trials))


def _why_not(trial: Trial, trials: Sequence[Trial]) -> list[str]:
    """Return why a way was not taken, or what went wrong with it; nothing where the figures tell it."""
    words = ["tried on half of the rows"] * trial.half
    words += ["gives up a class"] * trial.gives_up
    words += ["went wrong on all rows"] * trial.went_wrong
    taken = _taken(trials)
    ahead = trial.gain.mean > (taken.gain.mean if taken else 0) and _errors(trial.gain) > SURE
    if words or trial.chosen or not ahead:
        return words
    if trial.criterion in OF_ERRORS:
        return ["its mean absolute error is larger" if trial.stage == STACK else "counts in the weighted mean alone"]
    if trial.stage.startswith(CORRECTED) and _errors(trial.gain) <= SURER:
        return [f"must be better by {SURER:g} s.e."]
    return ["not trained on all rows"]


def _tells_accuracy(trials: Sequence[Trial]) -> bool:
    """Return whether the accuracy over all rows is known, and says something else than the gain."""
    known = [(trial.accuracy, trial.gain.mean) for trial in trials if trial.accuracy is not None]
    return len(known) == len(trials) and any(abs(accuracy - gain) > SAME for accuracy, gain in known)


def best_sentence(best: Best) -> str:
    """Return the best way of training so far, how well it does on labels not seen, and how much better that is."""
    value = f"{best.value:.1%}" if best.criterion != COST else f"{-best.value:.3g} a row"
    value = f"{-best.value:.3g}" if best.criterion in OF_ERRORS else value
    than = "" if best.trial is None else f", {size_of_gain(best.trial)} than {best.trial.other}"
    return f"{best.name}, {SCORES[best.criterion]} {value} on {_seen(best)} not seen{than}"


def _legend(trials: Sequence[Trial], told: bool) -> str:
    """Return what the figures of the table mean, and the rule of the choice."""
    if not trials:
        return "No way was held against another."
    unit = "cost a row" if trials[0].criterion == COST else "points"
    unit = "per cent of its error" if trials[0].criterion in OF_ERRORS else unit
    words = (
        f"Gains are over the base, {trials[0].other}, in {unit}, on rows not trained on; their "
        f"{'targets' if trials[0].criterion in OF_ERRORS else 'labels'} are as given, "
    )
    words += "and some may be wrong. ± is one standard error."
    if trials[0].criterion in OF_ERRORS:
        words += " The weighted mean is judged by the weights of the other half of the rows. The base is taken unless "
        words += f"it is better by {SURE:g} standard error"
        return f"{words}{', and its mean absolute error not larger by one' * trials[0].criterion.startswith('rmse')}."
    words += " Accuracy is over all rows." * told
    if trials[0].stage:  # of auto; older runs don't say
        words += f" The base is taken unless a way is better by {SURE:g} standard error"
        words += f" ({SURER:g} on the corrected loss)" * any(t.stage.startswith(CORRECTED) for t in trials)
        words += " and gives no class up without taking up two. The best of several looks better than it is."
    return words


def _seen(of: Trial | Best) -> str:
    """Return what ways of training were held against."""
    return "rows" if of.criterion in OF_ERRORS else "labels"


def _gain(trial: Trial) -> str:
    return f"{_signed(trial.gain.mean, trial)} ± {_of_criterion(trial.gain.error, trial)}"


def _signed(value: float, trial: Trial) -> str:
    return _points(value) if trial.criterion != COST else f"{value:+.3g}".replace("-", "−")


def _points(value: float | None) -> str:
    return "" if value is None else ACCURACY.difference(value)


def _of_criterion(value: float, trial: Trial) -> str:
    return f"{value:.3g}" if trial.criterion == COST else f"{100 * value:.1f}"
