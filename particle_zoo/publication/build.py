"""Publish a finished run: weights packed, golden values, scores of what users get, speed, and the card that says all this."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np
import pandas as pd

from particle_zoo import registry
from particle_zoo.cli import read_json, replacing, write_json
from particle_zoo.clusters import Clusters
from particle_zoo.diagnosis.devices import processor
from particle_zoo.errors import InputError
from particle_zoo.exporting.write import put
from particle_zoo.publication.examples import examples
from particle_zoo.publication.exports import check_formats, exports
from particle_zoo.publication.headline import headline
from particle_zoo.publication.page import BESIDE
from particle_zoo.publication.speed import speed
from particle_zoo.registry import ModelCard
from particle_zoo.training import anomaly, recipe
from particle_zoo.training.pretrain import settle
from particle_zoo.training.session import TRAINERS, is_classifier, parse_classes
from particle_zoo.verification import GOLDEN, TOLERANCE, named_inputs, outputs, verify, write_golden
from particle_zoo.weights import WEIGHTS, Kernels, load_run, publish

EXAMPLES = 4
"""Golden inputs of a model."""

JETS_EACH = 8
"""Jets in the place of one other example where outputs are compared: a jet is a few numbers."""

SHOWN = 6
"""Losses on the way, which say how far a training was from its end."""

PROBES = 32
"""Examples on which packed weights are compared with those of the run."""

PICTURES = {
    "classifier": "confusion.png",
    "vae": "reconstructions_evaluated.png",
    "autoencoder": "reconstructions_by_type.png",
    "anomaly": "signal_frame.png",
    "compression": "residuals.png",
    "deep_clustering": "clusters_evaluated.png",
}
"""Figure of `evaluate` that stands for a model, by task."""


FOUND = ("found",)
"""Settings that a training writes: the number of clusters."""


def build(
    folder: Path, place: Path, kernels: Kernels, *, limit: int | None = None, pictures: Path | None = None
) -> Path:
    """Publish a run of a committed recipe; what was released of the model before stays as it is until all of this has been made.

    Args:
        folder: of the run.
        place: the published folder is one in it, named after the model.
        kernels: how they are stored.
        limit: of the test examples that are scored; None for all.
        pictures: folder for a figure of the scored examples, NAME.png; None for none.

    Raises:
        InputError: an unfinished run, one that its model's recipe does not describe, a package for exports is missing, or weights
            that do not give what they gave when they were packed.
    """
    config = read_json(folder / "config.json", what="run configuration")
    # First: on another backend than that of the exports some settings are others.
    check_formats()
    name = _checked(folder, config)
    metrics = read_json(folder / "metrics.json", what="metrics of the run")
    target, fresh = place / name, not place.exists()
    place.mkdir(parents=True, exist_ok=True)
    try:
        # An earlier release stays whole until this one is.
        with tempfile.TemporaryDirectory(prefix=f".{name}.", suffix=".tmp", dir=place) as scratch:
            # Of its final name, by which evaluations call a method.
            made = publish(folder, name, place=Path(scratch), kernels=kernels)
            picture = None if pictures is None else Path(scratch) / f"{name}.png"
            write_json(made / "card.json", _finished(folder, made, config, metrics, kernels, limit, picture))
            verify(made)
            if picture is None or pictures is None:
                put(made, target)
            else:
                with replacing(pictures / picture.name) as temporary:
                    shutil.copyfile(picture, temporary)
                    put(made, target)
    finally:
        if fresh and not any(place.iterdir()):
            place.rmdir()
    return target


def _finished(
    folder: Path,
    made: Path,
    config: dict[str, Any],
    metrics: dict[str, Any],
    kernels: Kernels,
    limit: int | None,
    picture: Path | None,
) -> dict[str, Any]:
    """The card of a packed copy of a run, which gets its golden values meanwhile."""
    name = made.name
    full, packed = load_run(folder)[0], load_run(made)[0]
    inputs, clusters = _some(packed, EXAMPLES)
    # Of two nearly equal maxima one processor takes the one and another the other; un-pooling with indices shows which.
    without = ("reconstruction",) if getattr(packed.zoo_config, "use_indices", False) else ()
    write_golden(made, packed, inputs, clusters, without=without)
    arguments = [] if limit is None else ["--limit", str(limit)]
    task = registry.info(name).task
    before = headline(task, name, _evaluate(folder, arguments))
    after = headline(task, name, _evaluate(made, arguments, PICTURES[task], picture))
    card = read_json(made / "card.json", what="model card")
    return card | {
        # A run may be older than what is known of its model now.
        "limits": registry.info(name).limits,
        "dataset": config["dataset"],
        "recipe": recipe.FOLDER.joinpath(f"{name}.yaml").read_text(),
        "training": {
            "command": f"python -m particle_zoo.train {name} --recipe",
            "seconds": metrics["seconds"],
            **_losses(folder / "history.csv"),
            # Of a clustering, which follows on the epochs.
            **({"ended": metrics["reason"]} if "reason" in metrics else {}),
            "processor": processor()["model"],
            "versions": config["versions"],
        },
        "kernels": kernels,
        "weights_bytes": (made / WEIGHTS).stat().st_size,
        "packing": {"output_difference": _changed(full, packed), "scores_before": _own(before, name, folder.name)},
        "scores": after,
        "scores_command": " ".join(["python -m particle_zoo.evaluate", name, *arguments]),
        **_measured(made, card),
    }


def measure(folders: Sequence[Path]) -> Iterator[Path]:
    """Put into the cards of published models how fast they are, and how large, fast and true their exports are.

    The times are those of this machine as it is now; measure all models in a row while it does nothing else. Sizes of the files
    beside the weights and the number of golden examples are told anew, too.

    Args:
        folders: of published models, which are looked at before the first is measured.

    Yields:
        Each folder once its card is written.

    Raises:
        InputError: not a model that was released, a package for exports is missing, or the data of a classifier are.
    """
    check_formats()
    for folder in folders:
        if not (folder / "card.json").is_file() or "golden" not in read_json(folder / "card.json", what="model card"):
            raise InputError(f"{folder} is no released model; give folders that release has written")
    for folder in folders:
        card = read_json(folder / "card.json", what="model card")
        write_json(folder / "card.json", {**card, **_measured(folder, card)})
        yield folder


def _measured(folder: Path, card: dict[str, Any]) -> dict[str, Any]:
    """What a card says of the files beside it, and of this machine."""
    # Classifiers are judged on what their scores are of.
    dataset = recipe.read(card["name"]).dataset if card["task"] == "classifier" else None
    with np.load(folder / GOLDEN) as golden:
        n = next(len(golden[key]) for key in golden if key.startswith("inputs/"))
    parts = {file: (folder / file).stat().st_size for file in BESIDE if (folder / file).is_file()}
    return {
        "parts_bytes": parts,
        "golden": {"examples": n, "tolerance": TOLERANCE},
        "speed": speed(load_run(folder)[0]),
        "exports": exports(folder, dataset=dataset),
    }


def _some(model: Any, n: int, seed: int = 0) -> tuple[Any, Clusters | None]:
    """So many `examples` of a model, or more where they are small."""
    return examples(model, n * (JETS_EACH if registry.info(model.zoo_name).task == "compression" else 1), seed)


def _checked(folder: Path, config: dict[str, Any]) -> str:
    """Name of the model of a run, which has to be what the recipe of the model makes."""
    name = str(config.get("model"))
    if name not in recipe.names():
        raise InputError(
            f"{folder} holds a {name}, which has no recipe; there are recipes of {', '.join(recipe.names())}"
        )
    given, card = recipe.read(name), registry.info(name)
    classes = parse_classes(given.classes, given.dataset) if is_classifier(card) else None
    asked = {
        "dataset": given.dataset,
        "split": "train",
        "classes": None if classes is None else list(classes),
        "seed": given.seed,
        "precision": given.precision,
        "limit": given.limit,
        "init": given.init,
    }
    # Camera models are never trained on another split, and do not say so.
    found = {"split": "train", **{key: config.get(key) for key in asked if key in config}}
    wrong = [f"{key} {found.get(key)}" for key, value in asked.items() if found.get(key) != value]
    wrong += [
        f"{key} {config['config'].get(key)}"
        for key, value in _settings(card, given, classes).items()
        if config["config"].get(key) != value
    ]
    if wrong:
        raise InputError(f"{folder} differs from the recipe of {name} in {', '.join(wrong)}; train with --recipe alone")
    return name


def _settings(card: ModelCard, given: recipe.Recipe, classes: tuple[str, ...] | None) -> dict[str, Any]:
    """What the configuration of a model is after a training by its recipe, less what a training finds out."""
    named = {key: value for key, value in (("epochs", given.epochs), ("batch_size", given.batch_size)) if value}
    overrides = {**given.set, **named}
    if card.task == "anomaly":
        settled, _ = anomaly.settle(card, overrides, given.init)
    elif card.task in TRAINERS:
        settled = registry.config_class(card.name).from_settings(overrides)
    else:
        settled = settle(card, overrides, given.dataset, classes, given.init)
    number = {} if classes is None else {"classes": len(classes)}
    return {key: value for key, value in {**settled.model_dump(mode="json"), **number}.items() if key not in FOUND}


def _losses(path: Path) -> dict[str, Any]:
    """Validation loss, or that of the training where nothing was validated, after some epochs, the first and last among them."""
    history = pd.read_csv(path)
    validated = "val_loss" in history and history["val_loss"].notna().all()
    values = history["val_loss" if validated else "loss"].to_numpy()
    chosen = sorted({round(i) for i in np.linspace(0, len(values) - 1, SHOWN)})
    return {"validated": bool(validated), "losses": {str(i + 1): float(values[i]) for i in chosen}}


def _evaluate(source: Path, arguments: list[str], figure: str = "", picture: Path | None = None) -> dict[str, Any]:
    """What the command `evaluate` writes of a folder; one of its figures is kept as `picture`."""
    from particle_zoo.evaluate import evaluate

    with tempfile.TemporaryDirectory(prefix="particle-zoo.") as scratch:
        numbers = Path(scratch) / "scores.json"
        click.echo(f"evaluate {source}", err=True)
        given = [str(source), *arguments, "--output", scratch, "--json", str(numbers), "--quiet"]
        evaluate.main(given, standalone_mode=False)
        if picture is not None:
            shutil.copyfile(Path(scratch) / figure, picture)
        return read_json(numbers)


def _changed(full: Any, packed: Any) -> dict[str, float]:
    """Root mean square of what packing changes of each output, in shares of the standard deviation of the output."""
    inputs = named_inputs(full, _some(full, PROBES, seed=1)[0])
    before, after = outputs(full, inputs), outputs(packed, inputs)
    return {key: float(np.sqrt(np.mean((after[key] - value) ** 2)) / np.std(value)) for key, value in before.items()}


def _own(rows: list[dict[str, Any]], name: str, folder: str) -> list[dict[str, Any]]:
    """Rows of the model, or of its latent vector; rivals do not depend on its weights.

    An evaluation on frames calls a run by its folder.
    """
    called = {name: name, folder: name, "latent mean": "latent mean"}
    return [{**row, "method": called[row["method"]]} for row in rows if row["method"] in called]
