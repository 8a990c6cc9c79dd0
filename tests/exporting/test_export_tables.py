"""What the page of a model says of its exports."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from particle_zoo.publication.page import card_of, page

WARNING = "is not to be used"


def told(changes: dict[str, dict[str, Any]]) -> str:
    """The page of a model, with entries of its exports changed."""
    card = copy.deepcopy(card_of("tiny_vae"))
    for kind, changed in changes.items():
        card["exports"][kind] |= changed
    return page(card, picture=False)


def test_an_int8_file_that_is_far_from_keras_is_warned_of() -> None:
    text = told({"litert_int8": {"difference": {"z_mean": 0.034, "z_log_var": 0.47}}})
    assert f"LiteRT, kernels as int8, {WARNING}: z_log_var is off by up to 47 % of its largest value." in text


def test_an_int8_file_that_is_near_is_not() -> None:
    assert WARNING not in told({"litert_int8": {"difference": {"z_mean": 0.1, "z_log_var": 0.02}}})


@pytest.mark.parametrize(("agreement", "warned"), [(0.99, False), (0.85, True)])
def test_a_classifier_is_judged_by_its_classes(agreement: float, warned: bool) -> None:
    text = told({"litert_int8": {"difference": {"probability": 0.15}, "agreement": agreement}})
    assert (f"int8, {WARNING}: 15.0 % of the examples are of another class than in Keras." in text) == warned
    assert (WARNING in text) == warned
