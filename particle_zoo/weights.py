"""Find, check, load and publish trained weights; a hit never touches a network.

One folder a set of weights: `config.json` (rebuilds the model), `model.weights.h5`, `card.json` (with the sha256 of
the weights). A run folder of `particle_zoo.train` is such a folder.

Places looked at for a name, in order: the folders of `$PARTICLE_ZOO_PATH`, the package itself, the cache
(`$PARTICLE_ZOO_HOME`, else `$KERAS_HOME/particle_zoo`, else `~/.keras/particle_zoo`).
"""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path
from typing import Any

from particle_zoo import registry
from particle_zoo.cli import read_json, replacing, write_json
from particle_zoo.errors import InputError, WeightsNotFoundError

WEIGHTS = "model.weights.h5"
FILES = ("config.json", "baseline.parquet", "card.json", WEIGHTS)


def cache_dir() -> Path:
    """Where `publish` puts weights and `load` finds them."""
    if home := os.environ.get("PARTICLE_ZOO_HOME"):
        return Path(home)
    return Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras") / "particle_zoo"


def places(name: str) -> list[Path]:
    """Folders that may hold the weights of a name, in the order in which they are tried."""
    path = [Path(p) for p in os.environ.get("PARTICLE_ZOO_PATH", "").split(os.pathsep) if p]
    return [folder / name for folder in (*path, Path(__file__).parent / "zoo", cache_dir())]


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
    raise WeightsNotFoundError(
        f"no {WEIGHTS} for {name}; looked in {', '.join(map(str, tried))}; "
        f"train them with: python -m particle_zoo.train {name} --publish"
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
        A Keras model; `model.preprocess(clusters)` makes its inputs.

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


def load_run(folder: str | Path) -> tuple[Any, dict[str, Any]]:
    """Rebuild the model of a run folder by code and load its weights; returns (model, config.json).

    Raises:
        InputError: a part is missing, damaged, or does not belong to the rest.
    """
    from particle_zoo.pipelines.ccd import CCDPreprocessor

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
    model = registry.create(config["model"], **config["config"])
    try:
        model.preprocessor = CCDPreprocessor.from_dict(config["preprocessing"])
    except TypeError as error:
        raise InputError(f"{folder / 'config.json'} describes unknown preprocessing ({error}); train again") from error
    try:
        model.load_weights(folder / WEIGHTS)
    # h5py and Keras raise many types on damaged or foreign files; all mean the same to the user.
    except (OSError, ValueError, KeyError, RuntimeError, TypeError, AttributeError) as error:
        raise InputError(
            f"{folder / WEIGHTS} is damaged or belongs to another model than {config['model']} ({str(error)[:100]}); train or copy it again"
        ) from error
    return model, config


def sha256(path: Path) -> str:
    """Hex digest of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check(folder: Path) -> None:
    """Compare the weights with the digest in card.json; a run still in training has none yet.

    Raises:
        InputError: they differ.
    """
    card = folder / "card.json"
    if not card.exists():
        return
    expected = read_json(card, what="model card").get("weights_sha256")
    if expected and expected != (found := sha256(folder / WEIGHTS)):
        raise InputError(
            f"{folder / WEIGHTS} is damaged: sha256 {found[:12]}..., card.json says {str(expected)[:12]}...; train or copy it again"
        )


def write_card(folder: Path, name: str, extra: dict[str, Any]) -> None:
    """Write card.json: the model's card, the digest of the weights, and what the run adds."""
    card = {**registry.info(name).to_dict(), "weights_sha256": sha256(folder / WEIGHTS), **extra}
    write_json(folder / "card.json", card)


def publish(folder: Path, name: str) -> Path:
    """Copy a run to the cache, where `load(name)` finds it; returns the new folder.

    Raises:
        InputError: the run is of another model or damaged.
    """
    config = read_json(folder / "config.json", what="run configuration")
    if config.get("model") != name:
        raise InputError(f"{folder} holds a {config.get('model')}, not a {name}; publish it by that name")
    check(folder)
    target = cache_dir() / name
    # The weights last: a folder counts as found only once they are there.
    for file in FILES:
        if (folder / file).exists():
            with replacing(target / file) as temporary:
                shutil.copyfile(folder / file, temporary)
    return target
