"""Committed recipes: the options of `train` behind the weights that `particle_zoo.load` gives.

`recipes/NAME.yaml` in the repository, `particle_zoo/recipes` in an installed package. A recipe says what differs from the
defaults of the command; what is given on the command line goes before it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import click
import pydantic
import yaml
from click.core import ParameterSource

from particle_zoo.cli import sentence
from particle_zoo.errors import InputError

FOLDER = Path(__file__).parents[1] / "recipes"


class Recipe(pydantic.BaseModel):
    """Options of `particle_zoo.train` for one model; absent ones are the command's defaults.

    The source of the data is a simulated set of our own, so that the licence of the weights is ours.
    """

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

    dataset: str = pydantic.Field(description="NAME/CONFIG of a simulated data set")
    classes: str | None = None
    epochs: int | None = pydantic.Field(None, ge=1)
    batch_size: int | None = pydantic.Field(None, ge=1)
    limit: int | None = pydantic.Field(None, ge=1)
    seed: int = pydantic.Field(0, ge=0)
    precision: Literal["float32", "mixed_float16", "mixed_bfloat16"] = "float32"
    init: str = pydantic.Field("none", description="name of the published model that the training starts from")
    set: dict[str, Any] = pydantic.Field({}, description="settings of the model and its training")

    def options(self) -> dict[str, Any]:
        """Values by the names of the parameters of `train`, as the command line would give them; without those not set."""
        given = self.model_dump(exclude={"set"}, exclude_unset=True)
        return given | {"settings": tuple(f"{key}={json.dumps(value)}" for key, value in self.set.items())}


def names() -> list[str]:
    """Models that have a recipe, sorted."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def read(name: str) -> Recipe:
    """The recipe of a model.

    Raises:
        InputError: the model has none, or its file is not one.
    """
    path = FOLDER / f"{name}.yaml"
    if not path.is_file():
        raise InputError(f"{name} has no recipe; leave --recipe out, or take one of {', '.join(names())}")
    try:
        return Recipe.model_validate(yaml.safe_load(path.read_text()))
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "content"
        raise InputError(f"{path} is no recipe: {where}: {first['msg']}; restore the file of this version") from error
    except yaml.YAMLError as error:
        raise InputError(f"{path} is no recipe ({sentence(str(error))}); restore the file of this version") from error


def under(context: click.Context, options: dict[str, Any], recipe: Recipe) -> dict[str, Any]:
    """Options of a command with those of a recipe in the place of defaults.

    Args:
        context: of the command, which knows what was given.
        options: of the command by name; `settings` are pairs KEY=VALUE, of which the last of a key counts.
        recipe: of the model.
    """
    found = dict(options)
    for key, value in recipe.options().items():
        if key == "settings":
            found[key] = (*value, *options[key])
        elif context.get_parameter_source(key) in (ParameterSource.DEFAULT, ParameterSource.DEFAULT_MAP):
            found[key] = value
    return found
