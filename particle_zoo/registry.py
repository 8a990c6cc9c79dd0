"""Which models there are, what each one is, and how to build one."""

from __future__ import annotations

import difflib
import fnmatch
import importlib
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from particle_zoo.errors import UnknownModelError

Builder = Callable[..., Any]


@dataclass(frozen=True)
class ModelCard:
    """What a user has to know of a model before feeding it.

    Args:
        name: registered name.
        family: module of `particle_zoo.models` that holds it.
        task: classifier, vae, autoencoder, anomaly or deep_clustering.
        summary: one sentence.
        source: the seed or paper it follows.
        inputs: one dict an input: name, shape (without the batch axis), units, value_range.
        output: what comes out, with shape and units.
        parameters: number of parameters of the default configuration.
        detector: the detector its default data come from.
        default_dataset: what the commands use without `--dataset`.
        config: default configuration.
        notes: deviations from the source.
        limits: what it was not made for, and how it misleads where it is used nevertheless.
        licence: SPDX name.
    """

    name: str
    family: str
    task: str
    summary: str
    source: str
    inputs: tuple[dict[str, Any], ...]
    output: str
    parameters: int
    detector: str = "CCD"
    default_dataset: str = "ccd_clusters/simulated"
    config: dict[str, Any] = field(default_factory=dict)
    notes: str = ""
    limits: str = ""
    licence: str = "Apache-2.0"

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready dict."""
        return asdict(self)

    def __str__(self) -> str:
        inputs = "; ".join(f"{i['name']} {i['shape']} in {i['units']}, {i['value_range']}" for i in self.inputs)
        lines = [
            f"{self.name}: {self.summary}",
            f"  task        {self.task} ({self.detector})",
            f"  parameters  {self.parameters:,}",
            f"  inputs      {inputs}",
            f"  output      {self.output}",
            f"  data        {self.default_dataset}",
            f"  source      {self.source}",
            f"  licence     {self.licence}",
        ]
        more = {"notes": self.notes, "limits": self.limits}
        return "\n".join([*lines, *(f"  {key:<10}  {text}" for key, text in more.items() if text)])


@dataclass(frozen=True)
class _Entry:
    card: ModelCard
    build: Builder
    config: Any


_REGISTRY: dict[str, _Entry] = {}


def register_model(card: ModelCard, config: Any) -> Callable[[Builder], Builder]:
    """Register a function `f(**overrides) -> model`, named like the model, with its card and configuration class."""

    def register(build: Builder) -> Builder:
        if build.__name__ != card.name:
            raise ValueError(f"the builder of {card.name} must be named like it; received {build.__name__}")
        _REGISTRY[card.name] = _Entry(card, build, config)
        return build

    return register


def _entry(name: str) -> _Entry:
    # Importing the model files fills the registry; they import Keras, this module does not.
    importlib.import_module("particle_zoo.models")
    if name not in _REGISTRY:
        close = difflib.get_close_matches(name, _REGISTRY, n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(close)}? " if close else ""
        raise UnknownModelError(f"unknown model {name!r}; {hint}particle_zoo.list_models() shows all {len(_REGISTRY)}")
    return _REGISTRY[name]


def list_models(filter: str = "*", *, task: str | None = None, detector: str | None = None) -> list[str]:
    """Names of the registered models, sorted.

    Args:
        filter: shell wildcard on the name, such as `"vae*"`.
        task: keep models of this task.
        detector: keep models of this detector.
    """
    importlib.import_module("particle_zoo.models")
    return sorted(
        name
        for name, entry in _REGISTRY.items()
        if fnmatch.fnmatch(name, filter) and task in (None, entry.card.task) and detector in (None, entry.card.detector)
    )


def info(name: str) -> ModelCard:
    """The card of a model.

    Raises:
        UnknownModelError: no such model.
    """
    return _entry(name).card


def config_class(name: str) -> Any:
    """The configuration class of a model, a frozen pydantic model.

    Raises:
        UnknownModelError: no such model.
    """
    return _entry(name).config


def build(name: str, **overrides: Any) -> Any:
    """Build a model with random weights, whatever its configuration says of initial ones; arguments as `create`."""
    return _entry(name).build(**overrides)


def create(name: str, **overrides: Any) -> Any:
    """Build a model that this package has not trained.

    Args:
        name: a registered name.
        overrides: fields of the model's configuration.

    Raises:
        UnknownModelError: no such model.
        InputError: an override the model does not have, a value out of its range, or initial weights that the overrides
            ask for and that cannot be had.
    """
    model = build(name, **overrides)
    model.load_initial_weights()
    return model
