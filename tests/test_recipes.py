"""Committed recipes: each one can be followed, and says what `train` then does."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

import particle_zoo
from particle_zoo import InputError, data, registry
from particle_zoo.train import train
from particle_zoo.training import recipe, session


@pytest.mark.parametrize("name", recipe.names())
def test_every_recipe_fits_its_model_and_trains_on_a_simulation_of_ours(name: str) -> None:
    found = recipe.read(name)
    settings = {"epochs": found.epochs, "batch_size": found.batch_size, **found.set}
    registry.config_class(name).from_settings({k: v for k, v in settings.items() if v is not None})
    assert found.dataset.partition("/")[2].startswith(("simulated", "satram_simulated"))
    if registry.info(name).task not in session.TRAINERS:
        # Simulated sets need no files; an unknown one is an error.
        assert data.fingerprint(found.dataset)
    assert found.init == "none" or found.init in recipe.names()


def test_whatever_ships_weights_has_a_recipe() -> None:
    without = {n for n in particle_zoo.list_models() if "imagehead" in n or n.startswith(("ae_25d", "ae_27d"))}
    assert set(recipe.names()) == set(particle_zoo.list_models()) - without


def parsed(*arguments: str) -> dict[str, object]:
    """Options of `train` after those of the recipe."""
    context = train.make_context("train", list(arguments))
    options = {key: context.params[key] for key in ("dataset", "epochs", "seed", "limit", "init", "settings")}
    with context:
        return recipe.under(context, options, recipe.read(arguments[0]))


def test_a_recipe_fills_in_what_is_not_given() -> None:
    found = parsed("effnet_classifier", "--recipe")
    assert found["init"] == "effnet_ae_mask25"
    assert found["limit"] == 16000
    assert found["settings"] == ('recipe="laptop"',)
    given = parsed("effnet_classifier", "--recipe", "--limit", "50", "--init", "none", "--set", "epochs=1")
    assert (given["limit"], given["init"]) == (50, "none")
    # Of two values of a setting the last one counts.
    assert given["settings"] == ('recipe="laptop"', "epochs=1")


def test_what_is_no_recipe_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="ae_25d_z8 has no recipe; leave --recipe out, or take one of ae_3d_200"):
        recipe.read("ae_25d_z8")
    monkeypatch.setattr(recipe, "FOLDER", tmp_path)
    (tmp_path / "cnn.yaml").write_text(yaml.safe_dump({"dataset": "x/y", "colour": 1}))
    with pytest.raises(InputError, match="is no recipe: colour: Extra inputs"):
        recipe.read("cnn")
    (tmp_path / "cnn.yaml").write_text("dataset: [")
    with pytest.raises(InputError, match="is no recipe"):
        recipe.read("cnn")


def test_a_recipe_and_a_file_of_settings_contradict_each_other(tmp_path: Path) -> None:
    (tmp_path / "best.json").write_text("{}")
    with pytest.raises(InputError, match=r"received --params .*best\.json too"):
        train.main(["tiny_cnn", "--recipe", "--params", str(tmp_path / "best.json")], standalone_mode=False)
