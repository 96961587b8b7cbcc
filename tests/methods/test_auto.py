"""The way that is taken: the best on labels not seen that gives no class up, trained as if it had been asked for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import one_hot

import skedastic as sk
from skedastic.core.choice import Gain, Trial
from skedastic.core.class_weights import EffectiveNumber
from skedastic.core.transitions import Transitions
from skedastic.data import folds
from skedastic.losses.corrected import Corrected
from skedastic.losses.gce import GCE
from skedastic.methods.auto import CORRECTED, PLAIN, STRONG, Auto
from skedastic.methods.bases.one_network import OneNetwork
from skedastic.methods.erm import ERM
from skedastic.methods.har import HAR
from skedastic.runs.reports import fit_report
from skedastic.runs.sentences import choice_sentence
from skedastic.training import Checkpoints, TrainingConfig, train
from tests.support.methods import dataset, make_net, same, task, weights

TRAINING = TrainingConfig(epochs=6, batch_size=16, lr=0.05, device="cpu")
WAYS = (PLAIN, STRONG, CORRECTED)
TRIALS = [f"{way}, half {k}" for way in WAYS for k in (1, 2)]
T = torch.tensor([[0.8, 0.2, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]).double()
KNOWN = Transitions(matrix=T, gain=Gain(0.1, 0.01), gives_up=False)


def known(data):
    return replace(task(data), transitions=KNOWN)


def trained(method, data=None, **settings):
    data = data or dataset(120)
    return train(method, data, make_net, TRAINING, seed=4, task=known(data), **settings)


def stages(history):
    return list(dict.fromkeys(row["stage"] for row in history))


def test_every_way_is_tried_on_the_same_halves() -> None:
    auto = trained(Auto())
    assert stages(auto.history)[:6] == TRIALS
    assert len(stages(auto.history)) in (7, 8)
    assert [trial.name for trial in auto.trials] == ["HAR at 1", "HAR at 1, loss=corrected"]


def handed(t, predicted):
    """Return what the trials hand on, where each way predicts these labels."""
    found = {}
    for way, labels in predicted.items():
        for k in (0, 1):
            rows = (folds(t.group, t.y, 2, t.seed) == 1 - k).nonzero()[:, 0]
            found[f"{way}, half {k + 1}"] = one_hot(labels[rows], 3).float()
    return found


def taken(t, method, predicted, in_the_end=None):
    """Return the names of the stages that follow the trials, and which trial is called chosen."""
    now, names = replace(t, handed_on=handed(t, predicted)), []
    for stage in method.stages(t):
        if stage.chosen is not None and stage.chosen(now):
            names.append(stage.name)
            if stage.predicts is not None:
                end = t.y if in_the_end is None else in_the_end
                now = replace(now, handed_on={**now.handed_on, stage.name: one_hot(end, 3).float()})
    return names, [trial.chosen for trial in method.trials(now)], [trial.gives_up for trial in method.trials(now)]


def test_the_best_is_taken_if_it_is_better_and_gives_no_class_up() -> None:
    t, method, rng = known(dataset(120)), Auto(), np.random.default_rng(0)
    some = torch.from_numpy(np.where(rng.random(120) < 0.6, t.y, (t.y + 1) % 3))
    better, best = some.clone(), some.clone()
    better[:30], best[:60] = t.y[:30], t.y[:60]
    no_c = torch.where(t.y == 2, torch.tensor(0), t.y)
    cases = [
        ((some, better, best), ["har, corrected, all rows"], [False, True]),
        ((some, best, better), ["har, all rows"], [True, False]),
        ((best, some, better), [PLAIN], [False, False]),
        ((some, some, some), [PLAIN], [False, False]),
        ((some, better, no_c), ["har, all rows"], [True, False]),  # right more often, and c is given up
    ]
    for predicted, names, chosen in cases:
        assert taken(t, method, dict(zip(WAYS, predicted, strict=True)))[:2] == (names, chosen)


def test_a_class_that_the_network_of_all_rows_gives_up_brings_plain_training_back() -> None:
    t, rng = known(dataset(120)), np.random.default_rng(0)
    some = torch.from_numpy(np.where(rng.random(120) < 0.6, t.y, (t.y + 1) % 3))
    ways = dict(zip(WAYS, (some, t.y, some), strict=True))
    no_c = torch.where(t.y == 2, torch.tensor(0), t.y)
    assert taken(t, Auto(), ways, no_c) == (["har, all rows", PLAIN], [False, False], [True, False])


def test_what_is_taken_is_trained_to_the_bit_as_if_it_had_been_asked_for() -> None:
    auto = trained(Auto(strength=1e-6))
    ways = {"plain": ERM(), "har, all rows": HAR(strength=1e-6)}
    ways["har, corrected, all rows"] = HAR(strength=1e-6, loss=Corrected())
    last = auto.stages[-1]
    assert same(weights(auto.state.net), weights(trained(ways[last]).state.net))
    plain = trained(Auto(strength=1e3))
    if plain.stages[-1] == PLAIN:
        assert same(weights(plain.state.net), weights(trained(ERM()).state.net))


def test_ways_have_the_axes_and_are_left_out_where_they_cannot_be_trained() -> None:
    data = dataset(120)
    assert list(Auto().ways(known(data))) == list(WAYS)
    assert list(Auto().ways(task(data))) == [PLAIN, STRONG], "nothing is known of how labels go wrong"
    assert list(Auto(loss=GCE()).ways(known(data))) == [PLAIN, STRONG], "another loss was asked for"
    weighted = Auto(class_weights=EffectiveNumber()).ways(known(data)).values()
    assert all(isinstance(way, OneNetwork) and way.class_weights == EffectiveNumber() for way in weighted)
    assert [way.probabilities_of for way in Auto().ways(known(data)).values()] == ["labels", "neither", "true classes"]


def test_with_few_rows_nothing_is_tried() -> None:
    auto = trained(Auto(), dataset(30))
    assert stages(auto.history) == [PLAIN]
    assert auto.trials == ()
    assert "fewer than 40 rows" in auto.notes[0]


def test_an_interrupted_choice_goes_on_to_the_same_end(tmp_path: Path) -> None:
    whole, seen = trained(Auto()), []

    def stop(name, done, total):
        seen.append(name)
        if len(seen) == 15:
            raise KeyboardInterrupt

    kept = Checkpoints(tmp_path, 0.0, "")
    with pytest.raises(KeyboardInterrupt):
        trained(Auto(), progress=stop, checkpoints=kept)
    again = trained(Auto(), checkpoints=kept)
    assert again.trials == whole.trials
    assert same(weights(again.state.net), weights(whole.state.net))


def one_way(n=600, seed=0):
    """Return rows of three classes, of which 45 % of the first are labelled as the second."""
    rng = np.random.default_rng(seed)
    z = rng.integers(0, 3, n)
    x = np.array([[0, 0], [2, 0], [0, 2]])[z] + rng.normal(0, 0.8, (n, 2))
    return x, np.where((z == 0) & (rng.random(n) < 0.45), 1, z), z


def test_a_run_says_what_was_tried_and_is_read_back(tmp_path: Path) -> None:
    x, y, _ = one_way()
    training = sk.TrainingConfig(epochs=10, lr=0.01, optimizer="adam")
    result = sk.fit(x, y, method="auto", test=None, train=training, model={"name": "mlp", "width": 32})
    assert len(result.trials) == 2
    assert dict(fit_report(result, tmp_path / "run").asked)["Choice"] == choice_sentence(result.trials)
    result.save(tmp_path / "run")
    back = sk.load(tmp_path / "run")
    assert (back.trials, back.notes, back.trained.method) == (result.trials, result.notes, result.trained.method)
    new, _, _ = one_way(seed=1)
    np.testing.assert_array_equal(back.predict_proba(new), result.predict_proba(new))


def test_the_sentence_names_what_was_taken_and_every_way_that_was_tried() -> None:
    trials = (
        Trial("HAR at 1", "plain training", Gain(0.012, 0.004), False, False),
        Trial("HAR at 1, loss=corrected", "plain training", Gain(0.034, 0.01), True, False),
    )
    assert choice_sentence(trials) == (
        "plain training was taken; HAR at 1 was 1.2 points better, ± 0.8, than plain training on labels that none had "
        "seen, the mean over groups; HAR at 1, loss=corrected was 3.4 points better, ± 2.0, and gave a class up"
    )
    chosen = (trials[0]._replace(chosen=True), trials[1])
    assert choice_sentence(chosen).startswith("HAR at 1 was taken; HAR at 1 was 1.2 points better, ± 0.8, than")
    little = (chosen[0]._replace(gain=Gain(0.003, 0.004)), trials[1])
    assert "0.3 points better, ± 0.8 (less than the standard error of 0.4 may be chance)" in choice_sentence(little)
