"""The capabilities of a method are those of its parts together; its settings say where they end."""

from __future__ import annotations

import pytest

from skedastic.methods.bases.card import (
    ANY_TASK,
    CLASSIFICATION,
    GROUP_STATS,
    IMAGES,
    LAST_LAYER,
    MIXED,
    PERTURBED,
    REFERENCE,
    Capabilities,
)
from skedastic.settings.methods import make_method


def test_of_two_parts_limits_add_up_and_the_first_ones_reason_counts() -> None:
    first = Capabilities(tasks=CLASSIFICATION, needs=frozenset({GROUP_STATS}), takes=(LAST_LAYER,))
    other = Capabilities(takes=(IMAGES,), incompatible_with={MIXED: "the other's"})
    both = first & other
    assert (both.tasks, both.needs, both.takes) == (CLASSIFICATION, frozenset({GROUP_STATS}), (LAST_LAYER, IMAGES))
    assert both.incompatible_with == {MIXED: "the other's"}
    twice = Capabilities(incompatible_with={MIXED: "its own", PERTURBED: "too"}) & other
    assert twice.incompatible_with == {MIXED: "its own", PERTURBED: "too"}


def test_nothing_limits_by_default() -> None:
    limits = Capabilities(tasks=CLASSIFICATION, needs=frozenset({REFERENCE}), takes=(IMAGES,))
    assert Capabilities() & limits == limits & Capabilities() == limits
    assert Capabilities().tasks == ANY_TASK


@pytest.mark.parametrize(
    ("method", "tasks", "needs", "takes", "ways"),
    [
        ("erm", ANY_TASK, set(), (), set()),
        ("erm(class_weights=inverse)", CLASSIFICATION, set(), (), set()),
        ("erm(loss=ldam)", CLASSIFICATION, set(), (LAST_LAYER,), {MIXED}),
        ("har", ANY_TASK, {GROUP_STATS}, (), set()),
        ("har(weighting=uniform)", ANY_TASK, set(), (), set()),
        ("har(noise=unit)", ANY_TASK, set(), (), set()),
        ("har(strength=auto, noise=unit)", CLASSIFICATION, set(), (), set()),
        ("co-teaching", CLASSIFICATION, {GROUP_STATS}, (), {PERTURBED, MIXED}),
        ("co-teaching(forget_rate=0.2)", ANY_TASK, set(), (), {PERTURBED, MIXED}),
        ("mentornet", ANY_TASK, set(), (), {MIXED}),
        ("mentornet(curriculum=refined)", CLASSIFICATION, {REFERENCE}, (), {MIXED}),
        ("small-loss(simulated=predictions)", CLASSIFICATION, set(), (), {MIXED}),
        ("cutout(base=har)", ANY_TASK, {GROUP_STATS}, (IMAGES,), {PERTURBED}),
        ("two-stage(first=har, then=erm, fresh_head=false, train=all)", ANY_TASK, {GROUP_STATS}, (), set()),
        ("crt(first=l2rw)", CLASSIFICATION, {REFERENCE}, (LAST_LAYER,), {PERTURBED, MIXED}),
    ],
)
def test_a_methods_settings_and_parts_decide(
    method: str, tasks: frozenset[str], needs: set[str], takes: tuple[str, ...], ways: set[str]
) -> None:
    able = make_method(method, {}).capabilities
    assert (able.tasks, able.takes) == (tasks, takes)
    assert able.needs == needs
    assert set(able.incompatible_with) == ways
