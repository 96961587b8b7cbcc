"""The two kinds of target, and the groups of rows whose targets change."""

import json

import numpy as np
import pandas as pd
import pytest
import torch

from skedastic.data import Bins, Classes, Dataset, Grouping, Numbers, Scale, Target
from skedastic.data.schema import Schema
from skedastic.data.tables.reading import Reading
from skedastic.data.targets.grouping import grouping_from_json
from skedastic.data.targets.target import target_from_json
from tests.support.refusals import refused

LETTERS = Classes(("a", "b", "c"), column="letter")
DIGITS = Classes(("0", "7"), integer_labels=True)
PRICE = Numbers(Scale(10.0, 2.0), column="price")
BINS = Bins((5.0,), (1.0, 3.0), ("low", "high"))


def through_json(value):
    return json.loads(json.dumps(value, allow_nan=False))


@pytest.mark.parametrize("target", [LETTERS, DIGITS, PRICE, Numbers()])
def test_a_target_comes_back_from_json(target: Target) -> None:
    assert target_from_json(through_json(target.to_json())) == target


def test_a_kind_of_target_that_is_not_known_is_refused() -> None:
    with refused("the saved target", "ranking"):
        target_from_json(LETTERS.to_json() | {"task": "ranking"})


def test_classes_are_trained_on_as_they_are_and_predicted_as_probabilities() -> None:
    y = torch.tensor([2, 0, 2])
    assert LETTERS.fit(y) is LETTERS
    assert LETTERS.for_training(y) is LETTERS.strata(y) is LETTERS.labels(y) is y
    assert LETTERS.counts(y).tolist() == [1, 0, 2]
    predicted = LETTERS.predictions(torch.tensor([[0.0, 0.0, 0.0], [0.0, 9.0, 0.0]]))
    torch.testing.assert_close(predicted[0], torch.full((3,), 1 / 3))
    assert LETTERS.best(predicted).tolist() == [0, 1]
    assert LETTERS.no_predictions(4).shape == (4, LETTERS.outputs)
    assert list(LETTERS.probability_columns(predicted)) == ["p_a", "p_b", "p_c"]
    assert LETTERS.probability_columns(predicted)["p_b"][1] == float(predicted[1, 1])


def test_numbers_are_standardized_for_training_and_predicted_in_their_units() -> None:
    y = torch.tensor([8.0, 10.0, 12.0], dtype=torch.float64)
    fitted = Numbers(column="price").fit(y)
    assert fitted.scale == Scale.fit(y)
    assert fitted.column == "price"
    torch.testing.assert_close(PRICE.for_training(y), torch.tensor([-1.0, 0.0, 1.0]))
    torch.testing.assert_close(PRICE.predictions(torch.tensor([-1.0, 0.0, 1.0])), y)
    assert Numbers().for_training(y).tolist() == y.tolist(), "a target that is not fitted has no units"
    assert PRICE.strata(y).tolist() == [0, 0, 0]
    assert PRICE.strata(y).dtype == torch.int64
    assert len(PRICE.labels(y)) == len(PRICE.counts(y)) == 0
    assert PRICE.best(y) is y
    assert (PRICE.outputs, PRICE.classes) == (1, ())
    assert PRICE.no_predictions(4).shape == (4,)
    assert PRICE.no_predictions(4).dtype == torch.float64
    assert PRICE.no_predictions(4).isnan().all()
    assert PRICE.probability_columns(y) == {}


def test_noise_is_a_wrong_label_or_a_squared_difference() -> None:
    assert LETTERS.noise(torch.tensor([0, 1]), torch.tensor([0, 2])).tolist() == [0.0, 1.0]
    assert PRICE.noise(torch.tensor([1.0, 5.0]), torch.tensor([1.0, 2.0])).tolist() == [0.0, 9.0]


def test_targets_come_back_as_the_user_gave_them() -> None:
    y = torch.tensor([1, 0])
    assert DIGITS.values(y).tolist() == [7, 0]
    assert LETTERS.values(y).tolist() == ["b", "a"]
    assert list(DIGITS.names(y)) == ["7", "0"]
    assert isinstance(DIGITS.names(y), pd.Categorical)
    numbers = torch.tensor([1.5, 2.5], dtype=torch.float64)
    for written in (PRICE.values(numbers), PRICE.names(numbers)):
        assert isinstance(written, np.ndarray)
        assert written.tolist() == [1.5, 2.5]


def test_a_summary_names_the_column_and_its_values() -> None:
    assert LETTERS.summary(torch.tensor([0, 1, 2, 2])) == "'letter': 3 classes, 1 : 2 from rarest to most frequent"
    assert PRICE.summary(torch.tensor([3.0, 1.25])) == "'price': numbers from 1.25 to 3"


@pytest.mark.parametrize("grouping", [Grouping(("x", "y")), Grouping.of_target(BINS), Grouping.of_column(BINS)])
def test_a_grouping_comes_back_from_json(grouping: Grouping) -> None:
    assert grouping_from_json(through_json(grouping.to_json())) == grouping


def test_a_schema_comes_back_from_json() -> None:
    schema = Schema(
        target=LETTERS, grouping=Grouping.of_column(BINS), kinds={"age": "number"}, reading=Reading({"day": True})
    )
    assert Schema.from_json(through_json(schema.to_json())) == schema
    images = Schema(target=PRICE, grouping=Grouping.of_target(BINS), images=(3, 8, 8), integers=True, resized=True)
    assert Schema.from_json(through_json(images.to_json())) == images


def test_a_kind_of_column_that_is_not_known_is_refused() -> None:
    written = Schema(target=LETTERS, grouping=Grouping(("x",)), kinds={"age": "number"}).to_json()
    with refused("the saved columns", "sound"):
        Schema.from_json(written | {"kinds": {"age": "number", "song": "sound"}})


def test_only_bins_of_the_target_have_a_width() -> None:
    group = torch.tensor([0, 0, 0, 1])
    assert Grouping.of_column(BINS).density(group).tolist() == [0.75, 0.25]
    assert Grouping.of_target(BINS).density(group).tolist() == pytest.approx([0.9, 0.1])
    assert Grouping(("x", "y", "z")).counts(group).tolist() == [3, 1, 0]


def data(y: torch.Tensor, group: torch.Tensor, target: Target, grouping: Grouping) -> Dataset:
    return Dataset(torch.zeros(len(y), 1), y, torch.arange(len(y)), group, target, grouping, "table")


def test_groups_that_the_targets_make_follow_them() -> None:
    y, changed = torch.tensor([0, 1, 2]), torch.tensor([2, 1, 0])
    by_label = data(y, y.clone(), LETTERS, Grouping(LETTERS.classes))
    assert by_label.with_targets(changed).group.tolist() == [2, 1, 0]
    by_bin = data(torch.tensor([1.0, 9.0]), torch.tensor([0, 1]), PRICE, Grouping.of_target(BINS))
    assert by_bin.with_targets(torch.tensor([9.0, 1.0])).group.tolist() == [1, 0]


def test_groups_of_a_column_stay() -> None:
    y, changed = torch.tensor([0, 1, 2]), torch.tensor([2, 1, 0])
    group = torch.tensor([0, 0, 1])
    own = data(y, group, LETTERS, Grouping(("x", "y")))
    assert own.with_targets(changed).group is group
    named_alike = data(y, group, LETTERS, Grouping(LETTERS.classes))  # and yet they are no labels
    assert named_alike.with_targets(changed).group is group
    by_column = data(torch.tensor([1.0, 9.0, 1.0]), group, PRICE, Grouping.of_column(BINS))
    assert by_column.with_targets(torch.tensor([9.0, 1.0, 1.0])).group is group
