"""Find, check, load and publish trained weights; a hit never touches a network.

One folder a set of weights: `config.json` (rebuilds the model), `model.weights.h5`, `card.json` (with the sha256 of
the weights) and, of an anomaly model, `pedestal.npz` and `calibration.json`. A run folder of `particle_zoo.train` is such a folder.

Places looked at for a name, in order: the folders of `$PARTICLE_ZOO_PATH`, the cache (`$PARTICLE_ZOO_HOME`, else
`$KERAS_HOME/particle_zoo`, else `~/.keras/particle_zoo`), the package itself, and the distribution `particle-zoo-weights`.
"""

from __future__ import annotations

import errno
import hashlib
import importlib.util
import json
import math
import os
import shutil
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from particle_zoo import packing, registry
from particle_zoo.cache import cache_dir
from particle_zoo.cli import read_json, replacing, sentence, write_json
from particle_zoo.clusters import UNITS
from particle_zoo.errors import InputError, ParticleZooError, WeightsNotFoundError

if TYPE_CHECKING:
    from particle_zoo.pipelines.preprocessor import Preprocessor

WEIGHTS = "model.weights.h5"
PEDESTAL = "pedestal.npz"
"""Level and noise of the pixels of an anomaly model's camera."""

COMPANION = "particle_zoo_weights"
"""Package of the distribution with the weights that are too large for this one."""

PARTS = {"anomaly": (PEDESTAL, "calibration.json")}
"""Files that a finished run has besides its weights, by task: without them the model is not usable, or another one."""

Kernels = Literal["float32", "float16", "int8"]
"""How a copy of weights stores arrays of two axes or more."""

FILES = ("config.json", "baseline.parquet", *(name for parts in PARTS.values() for name in parts), "card.json", WEIGHTS)


def save(model: Any, path: Path) -> None:
    """Write the weights of a model into an HDF5 file, which appears once it is whole.

    Raises:
        OSError: no room or no permission.
    """
    with replacing(path) as temporary:
        # HDF5 that runs out of room takes the whole process with it, by a segmentation fault when Python ends.
        _see_room(temporary, most_bytes(model))
        model.save_weights(temporary)


def most_bytes(model: Any) -> int:
    """More than the weights of a model take in a file, groups and headers included."""
    return sum(math.prod(w.shape) * np.dtype(w.dtype).itemsize + 2**13 for w in model.weights) + 2**17


def _see_room(path: Path, size: int) -> None:
    try:
        with path.open("wb") as file:
            # A quota counts, too, which the free space of a disk does not know.
            os.posix_fallocate(file.fileno(), 0, size)
    except (AttributeError, OSError) as error:
        if not isinstance(error, AttributeError) and error.errno not in (errno.EOPNOTSUPP, errno.EINVAL):
            raise
        if shutil.disk_usage(path.parent).free < size:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from error
    finally:
        path.unlink(missing_ok=True)


def places(name: str) -> list[Path]:
    """Folders that may hold the weights of a name, in the order in which they are tried."""
    path = [Path(p) for p in os.environ.get("PARTICLE_ZOO_PATH", "").split(os.pathsep) if p]
    # What a user has published goes before what came with the package.
    return [folder / name for folder in (*path, cache_dir(), *shipped())]


def shipped() -> list[Path]:
    """Folders of the weights that came with this package and, where it is installed, with its companion."""
    companion = importlib.util.find_spec(COMPANION)
    installed = [Path(folder) for folder in (companion.submodule_search_locations or ())] if companion else []
    return [Path(__file__).parent / "zoo", *installed]


def find(name: str) -> Path:
    """The folder with the weights of a registered model.

    Raises:
        UnknownModelError: no such model.
        WeightsNotFoundError: no weights in any place.
    """
    registry.info(name)
    tried = places(name)
    for folder in tried:
        if (folder / WEIGHTS).exists():
            return folder
    raise WeightsNotFoundError(f"no {WEIGHTS} for {name}; looked in {', '.join(map(str, tried))}; {_remedy(name)}")


def _remedy(name: str) -> str:
    """How to come by the weights of a model."""
    from particle_zoo.training.recipe import FOLDER

    command = f"python -m particle_zoo.train {name}"
    if registry.info(name).default_dataset.endswith("/files"):
        return f"none are published, for they need your own files: {command} --manual-dir DIR --publish"
    if not (FOLDER / f"{name}.yaml").exists():
        return f"none are published; train them with: {command} --publish"
    return (
        "they come with the package or, where they are large, with particle-zoo-weights (pip install ./weights in the "
        f"repository); or train them with: {command} --recipe --publish"
    )


def locate(source: str | Path) -> Path:
    """The folder meant by a run folder or a model name.

    Raises:
        InputError: a path that is no run folder.
        UnknownModelError, WeightsNotFoundError: a name without model or weights.
    """
    path = Path(source)
    if path.is_dir():
        return path
    if path.exists() or path.is_absolute() or len(path.parts) > 1:
        raise InputError(f"{source} is no run folder; give a folder written by particle_zoo.train, or a model name")
    return find(str(source))


def results_dir(source: str | Path, folder: Path) -> Path:
    """Where what is made of a model goes: its run folder, or `runs/NAME` here for a published one, which stays as it is."""
    return folder if Path(source).is_dir() else Path("runs") / str(source)


def load(name: str, weights: bool | str | Path = True, **overrides: Any) -> Any:
    """A model of the zoo, trained unless told otherwise.

    Args:
        name: a registered name.
        weights: True for published weights, False for none, or the folder of a run of this model.
        overrides: with `weights=False`, fields of the model's configuration.

    Returns:
        A Keras model; `model.preprocess(clusters)` makes its inputs, and `model.class_names` are the outputs of a classifier.

    Raises:
        UnknownModelError: no such model.
        WeightsNotFoundError: no weights in any place.
        InputError: damaged weights, weights of another model, or overrides that trained weights cannot follow.
    """
    if weights is False:
        return registry.create(name, **overrides)
    if overrides:
        raise InputError(
            f"trained weights come with their own settings; received {', '.join(overrides)}; use weights=False or train anew with --set"
        )
    registry.info(name)
    folder = find(name) if weights is True else locate(weights)
    model, config = load_run(folder)
    if config["model"] != name:
        raise InputError(f"{folder} holds a {config['model']}, not a {name}; load it by that name")
    return model


def task_of(folder: str | Path) -> str:
    """Task of the model of a run folder, by its config.json; "" without one, which `load_run` explains.

    Raises:
        InputError: a file that is no JSON object.
        UnknownModelError: a model that is not registered.
    """
    path = Path(folder) / "config.json"
    if not path.is_file():
        return ""
    name = read_json(path, what="run configuration").get("model")
    return registry.info(name).task if isinstance(name, str) else ""


def load_run(folder: str | Path) -> tuple[Any, dict[str, Any]]:
    """Rebuild the model of a run folder by code and load its weights; returns (model, config.json).

    Raises:
        InputError: a part is missing, damaged, or does not belong to the rest.
    """
    folder = Path(folder)
    for name in ("config.json", WEIGHTS):
        if not (folder / name).is_file():
            raise InputError(
                f"{folder} holds no {name}; give a folder written by particle_zoo.train, finished for at least one epoch"
            )
    config = read_json(folder / "config.json", what="run configuration")
    missing = [key for key in ("model", "config", "preprocessing", "classes", "dataset") if key not in config]
    if missing:
        raise InputError(
            f"{folder / 'config.json'} lacks {', '.join(missing)}; it was not written by particle_zoo.train"
        )
    check(folder)
    model = _rebuild(folder / "config.json", config)
    if hasattr(model.preprocessor, "with_parts"):
        model.preprocessor = model.preprocessor.with_parts(folder)
    try:
        # Keras warns of every layer that does not fit before it raises; the sentence below says it once.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if packing.quantised(folder / WEIGHTS):
                packing.restore(model, folder / WEIGHTS)
            else:
                model.load_weights(folder / WEIGHTS)
    # h5py and Keras raise many types on damaged or foreign files; all mean the same to the user.
    except (OSError, ValueError, KeyError, RuntimeError, TypeError, AttributeError) as error:
        raise InputError(
            f"{folder / WEIGHTS} is damaged or belongs to another model than {config['model']} ({sentence(str(error))[:100]}); train or copy it again"
        ) from error
    return model, config


def _rebuild(path: Path, config: dict[str, Any]) -> Any:
    """The untrained model that a config.json describes, with its preprocessing.

    Raises:
        InputError: a part of the wrong type, or parts that do not belong together.
    """
    for key, kind in (("model", str), ("config", dict), ("preprocessing", dict), ("dataset", str)):
        if not isinstance(config[key], kind):
            raise _edited(path, key, f"a {'text' if kind is str else 'JSON object'}", config[key])
    classes = config["classes"]
    if classes is not None and not (isinstance(classes, list) and all(isinstance(name, str) for name in classes)):
        raise _edited(path, "classes", "a list of class names or null", classes)
    try:
        model = registry.build(config["model"], **config["config"])
    except ParticleZooError:
        raise
    # Keys that are no settings can clash with an argument, and the translation of the seed's table does not validate.
    except (TypeError, ValueError, KeyError) as error:
        raise _edited(path, "config", f"the settings of a {config['model']}", config["config"]) from error
    outputs = getattr(model.zoo_config, "classes", None)
    if classes is not None and outputs is not None and len(classes) != outputs:
        raise _edited(path, "classes", f"{outputs} class names, one an output of the model", classes)
    model.preprocessor = _preprocessor(path, model.preprocessor, config["preprocessing"])
    model.class_names = tuple(classes or ())
    return model


def _preprocessor(path: Path, fresh: Preprocessor, values: dict[str, Any]) -> Preprocessor:
    """The preprocessing of a config.json: statistics of its own, everything else as the model's configuration says."""
    expected = fresh.to_dict()
    if unknown := set(values) - set(expected):
        raise InputError(f"{path} describes unknown preprocessing ({', '.join(sorted(unknown))}); train again")
    for key, value in values.items():
        default = expected[key]
        if key not in fresh.LEARNED:
            sound, what = type(value) is type(default) and value == default, f"{json.dumps(default)}, as in config"
        elif isinstance(default, bool):
            sound, what = type(value) is bool, "true or false"
        elif isinstance(default, list):
            sound, what = (
                isinstance(value, list) and len(value) == len(default) and all(map(_finite, value)),
                f"{len(default)} numbers",
            )
        elif isinstance(default, float):
            sound, what = _finite(value), "a number"
        else:
            sound, what = value in ("", *UNITS), f"one of {', '.join(UNITS)}"
        if not sound:
            raise _edited(path, f"preprocessing.{key}", what, value)
    return type(fresh).from_dict(values)


def _finite(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)


def _edited(path: Path, key: str, expected: str, received: Any) -> InputError:
    text = json.dumps(received)
    text = text if len(text) < 60 else text[:57] + "..."
    return InputError(f"{path}: {key} must be {expected}; received {text}; copy the file again or train anew")


def sha256(path: Path) -> str:
    """Hex digest of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check(folder: Path) -> None:
    """Compare the weights, and what belongs to them, with the digests in card.json; a run still in training has none yet.

    Raises:
        InputError: they differ, or a file is missing.
    """
    path = folder / "card.json"
    if not path.exists():
        return
    card = read_json(path, what="model card")
    for name, expected in {WEIGHTS: card.get("weights_sha256"), **card.get("parts_sha256", {})}.items():
        if not (folder / name).is_file():
            raise InputError(f"{folder} holds no {name}, which card.json names; copy the folder again or train anew")
        if expected and expected != (found := sha256(folder / name)):
            raise InputError(
                f"{folder / name} is damaged: sha256 {found[:12]}..., card.json says {str(expected)[:12]}...; train or copy it again"
            )


def write_card(folder: Path, model: Any, extra: dict[str, Any]) -> None:
    """Write card.json: the model's card with this model's settings, digests of its files, and what the run adds.

    Args:
        folder: run folder with the weights.
        model: a zoo model.
        extra: further entries.
    """
    card = registry.info(model.zoo_name).to_dict()
    config = model.zoo_config.model_dump(mode="json")
    changed = {key: value for key, value in config.items() if card["config"].get(key) != value}
    shapes = {tensor.name: tuple(tensor.shape[1:]) for tensor in model.inputs}
    card |= {
        "summary": card["summary"] + (f"; with {_settings(changed)}" if changed else ""),
        # What was measured of the default configuration may not hold for this one.
        "notes": f"of the default settings: {card['notes']}" if changed and card["notes"] else card["notes"],
        "inputs": [{**stated, "shape": shapes.get(stated["name"], stated["shape"])} for stated in card["inputs"]],
        "parameters": model.count_params(),
        "config": config,
        "weights_sha256": sha256(folder / WEIGHTS),
    }
    if parts := PARTS.get(card["task"]):
        card["parts_sha256"] = {name: sha256(folder / name) for name in parts if (folder / name).exists()}
    write_json(folder / "card.json", {**card, **extra})


def _settings(config: dict[str, Any]) -> str:
    return ", ".join(f"{key}={json.dumps(value)}" for key, value in config.items())


def publish(folder: Path, name: str, *, place: Path | None = None, kernels: Kernels = "float32") -> Path:
    """Copy a run to where `load(name)` finds it; returns the new folder.

    Args:
        folder: run folder.
        name: of its model.
        place: folder of the copy's folder: the cache, or one of those that `places` looks into.
        kernels: how kernels are stored: float32 as they are, with what the optimizer kept; float16, a sixth of the file; or
            int8 with a scale for every channel, a twelfth. With both a pedestal is `rounded`. Everything else, statistics of batch
            normalisation above all, stays as it is, and so does the precision that models compute with.

    Raises:
        InputError: the run is of another model or damaged.
        OSError: no room or no permission.
    """
    config = read_json(folder / "config.json", what="run configuration")
    if config.get("model") != name:
        raise InputError(f"{folder} holds a {config.get('model')}, not a {name}; publish it by that name")
    check(folder)
    for part in PARTS.get(registry.info(name).task, ()):
        if not (folder / part).exists():
            raise InputError(f"{folder} holds no {part}: its training did not end; continue it with --resume")
    target = (place or cache_dir()) / name
    # A packed copy has digests, and so a card, of its own.
    made = (WEIGHTS,) if kernels == "float32" else (WEIGHTS, "card.json", PEDESTAL)
    # The weights last: a folder counts as found only once they are there.
    with replacing(target / WEIGHTS) as weights:
        if kernels == "int8":
            model = load_run(folder)[0]
            _see_room(weights, most_bytes(model))
            packing.quantise(model, weights)
        elif kernels == "float16":
            _see_room(weights, (folder / WEIGHTS).stat().st_size + 2**17)
            packing.halve(folder / WEIGHTS, weights)
        else:
            shutil.copyfile(folder / WEIGHTS, weights)
        for file in FILES:
            if file not in made and (folder / file).exists():
                with replacing(target / file) as temporary:
                    shutil.copyfile(folder / file, temporary)
        if kernels != "float32":
            card = read_json(folder / "card.json", what="model card")
            card |= {"weights_sha256": sha256(Path(weights)), "kernels": kernels}
            if (folder / PEDESTAL).exists():
                from particle_zoo.detectors.camera.pedestal import PedestalModel

                saved = PedestalModel.load(folder / PEDESTAL).rounded().save(target / PEDESTAL)
                card["parts_sha256"] = {**card["parts_sha256"], PEDESTAL: sha256(saved)}
            write_json(target / "card.json", card)
    return target
