"""Search spaces, one function each, and the values that a search starts from.

The two CNN spaces are the tables of seed 003, name by name; `CNNConfig` and `CNNMetaConfig` understand these names. In the
others a parameter is named like the setting it becomes, `n_NAME` like its length, `NAME0` like one of its entries.

What changes the meaning of a loss is in no space: values of trials would not compare. So there is no weight of a term of a
loss, no normalisation of inputs and no size of images, and of an autoencoder that is to compress no latent size.
"""

from __future__ import annotations

from typing import Any, NoReturn

from optuna import TrialPruned
from optuna.trial import FixedTrial

from particle_zoo import registry
from particle_zoo.errors import InputError
from tuning.walk import Space, distributions, parameters_of, version

__all__ = ["BASELINES", "SPACES", "Space", "baseline_of", "distributions", "impossible", "space_of", "version"]


def cnn(trial: Any) -> dict[str, Any]:
    """First table. N_dense_layers counts the output layer."""
    for i in range(trial.suggest_int("N_conv_layers", 1, 3)):
        trial.suggest_int(f"conv_filter_exp{i}", 3, 7)
        trial.suggest_int(f"conv_kernel_size{i}", 2, 5)
    for i in range(trial.suggest_int("N_dense_layers", 1, 3) - 1):
        trial.suggest_int(f"dense_units_exp{i}", 3, 5)
    trial.suggest_float("dropout_rate", 0.0, 0.5)
    trial.suggest_float("adam_learning_rate", 1e-7, 1e-1, log=True)
    trial.suggest_int("adam_decay_steps", 100, 10_000)
    trial.suggest_float("adam_decay_rate", 0.8, 1.0)
    return dict(trial.params)


def cnn_meta(trial: Any) -> dict[str, Any]:
    """Second table."""
    for i in range(trial.suggest_int("N_conv_layers", 1, 3)):
        trial.suggest_int(f"filters_layer{i}", 8, 64)
        trial.suggest_int(f"filter_size_layer{i}", 3, 7)
        trial.suggest_int(f"stride_layer{i}", 1, 3)
        trial.suggest_int(f"padding_layer{i}", 1, 3)
    for i in range(trial.suggest_int("N_dense_layers", 1, 3)):
        trial.suggest_int(f"dense_layer{i}", 8, 128)
    trial.suggest_float("dropout_rate", 0.0, 0.5)
    trial.suggest_float("learning_rate", 1e-5, 1e-2, log=True)
    return dict(trial.params)


def vae(trial: Any) -> dict[str, Any]:
    """Variational autoencoders. A latent dimension that is not needed costs nothing in the loss, so `latent` is searched."""
    settings: dict[str, Any] = {
        "filters": [trial.suggest_int(f"filters{i}", 4, 128, log=True) for i in range(2)],
        "kernel_sizes": [trial.suggest_int("kernel_sizes0", 3, 12), trial.suggest_int("kernel_sizes1", 3, 8)],
        "image_units": trial.suggest_int("image_units", 16, 400, log=True),
        "latent": trial.suggest_int("latent", 2, 100, log=True),
        "learning_rate": trial.suggest_float("learning_rate", 1e-5, 1e-2, log=True),
        "weight_decay": trial.suggest_float("weight_decay", 1e-7, 1e-2, log=True),
    }
    # A map of an odd side cannot be pooled.
    settings["kernel_sizes"][1] += sum(settings["kernel_sizes"]) % 2
    return settings


def effnet_classifier(trial: Any) -> dict[str, Any]:
    """EfficientNet classifiers, with the size of their images left to who pays for it."""
    return {
        "backbone": trial.suggest_categorical("backbone", ["B0", "B1", "B2", "B3", "B4"]),
        "dropout_rate": trial.suggest_float("dropout_rate", 0.0, 0.5),
        "stochastic_depth": trial.suggest_float("stochastic_depth", 0.0, 0.5),
        "learning_rate": trial.suggest_float("learning_rate", 1e-5, 1e-2, log=True),
        "weight_decay": trial.suggest_float("weight_decay", 1e-6, 1e-1, log=True),
        "accumulate": trial.suggest_int("accumulate", 1, 4),
    }


def pedestal_ae(trial: Any) -> dict[str, Any]:
    """Autoencoders of dark frames. Light must not pass them; a trial whose model copies it is refused, see `Frames`."""
    return {
        "filters": [
            trial.suggest_int(f"filters{i}", 8, 96, log=True) for i in range(trial.suggest_int("n_filters", 2, 4))
        ],
        "bottleneck": trial.suggest_int("bottleneck", 1, 64, log=True),
        "code_noise": trial.suggest_float("code_noise", 0.01, 0.5, log=True),
        "batch_size": trial.suggest_int("batch_size", 4, 64, log=True),
        "learning_rate": trial.suggest_float("learning_rate", 1e-4, 3e-2, log=True),
    }


def dec(trial: Any) -> dict[str, Any]:
    """The autoencoder of deep clustering, with its latent size and the number of clusters as they are; see `PatchImages`."""
    return {
        "filters": [trial.suggest_int(f"filters{i}", 4, 256, log=True) for i in range(3)],
        "batch_size": trial.suggest_int("batch_size", 16, 256, log=True),
        "learning_rate": trial.suggest_float("learning_rate", 1e-4, 1e-2, log=True),
    }


def ae_3d_200(trial: Any) -> dict[str, Any]:
    """Autoencoders of jets, with as many latent numbers as the model has: they are what compression is about."""
    return {
        "hidden": [
            trial.suggest_int(f"hidden{i}", 8, 400, log=True) for i in range(trial.suggest_int("n_hidden", 1, 4))
        ],
        "activation": trial.suggest_categorical("activation", ["tanh", "leaky_relu"]),
        "batch_norm": trial.suggest_categorical("batch_norm", [False, True]),
        "block": trial.suggest_categorical("block", ["dense", "residual", "convolution"]),
        "dropout": trial.suggest_float("dropout", 0.0, 0.3),
        "batch_size": trial.suggest_int("batch_size", 32, 4096, log=True),
        "learning_rate": trial.suggest_float("learning_rate", 1e-4, 3e-2, log=True),
        "weight_decay": trial.suggest_float("weight_decay", 1e-8, 1e-1, log=True),
    }


SPACES: dict[str, Space] = {
    "cnn": cnn,
    "cnn_meta": cnn_meta,
    "vae": vae,
    "effnet_classifier": effnet_classifier,
    "pedestal_ae": pedestal_ae,
    "dec": dec,
    "ae_3d_200": ae_3d_200,
}
"""By the model that each was made for; others of its family take it, too."""

BASELINES: dict[str, dict[str, Any]] = {
    "cnn": {
        "N_conv_layers": 2, "conv_filter_exp0": 6, "conv_kernel_size0": 2, "conv_filter_exp1": 4, "conv_kernel_size1": 5,
        "N_dense_layers": 3, "dense_units_exp0": 4, "dense_units_exp1": 3, "dropout_rate": 0.4981,
        "adam_learning_rate": 3.676e-4, "adam_decay_steps": 3866, "adam_decay_rate": 0.9122,
    },
    "cnn_meta": {
        "N_conv_layers": 3, "filters_layer0": 41, "filter_size_layer0": 6, "stride_layer0": 1, "padding_layer0": 3,
        "filters_layer1": 49, "filter_size_layer1": 3, "stride_layer1": 1, "padding_layer1": 2,
        "filters_layer2": 9, "filter_size_layer2": 7, "stride_layer2": 2, "padding_layer2": 2,
        "N_dense_layers": 3, "dense_layer0": 84, "dense_layer1": 55, "dense_layer2": 99,
        "dropout_rate": 0.4275, "learning_rate": 1.1811e-4,
    },
}  # fmt: skip
"""The tables' final values, by space. The other spaces start from the configuration of the model."""


def space_of(name: str) -> Space:
    """The space of a model: its own, or that of its family.

    Raises:
        InputError: there is none.
        UnknownModelError: no such model.
    """
    card = registry.info(name)
    if name in SPACES:
        return SPACES[name]
    for known, space in SPACES.items():
        other = registry.info(known)
        if (other.family, other.task) == (card.family, card.task):
            return space
    raise InputError(
        f"there is no search space for {name}; there is one for {', '.join(SPACES)} and models of their families"
    )


def baseline_of(name: str, space: Space | None = None) -> dict[str, Any]:
    """Parameters of trial 0 of a search: the table's final values, or those of the model as it is without any settings.

    Args:
        name: a registered model.
        space: another than that of its family.

    Raises:
        InputError: no space for the model, or one that draws what the model does not have.
        UnknownModelError: no such model.
    """
    card, space = registry.info(name), space or space_of(name)
    try:
        found = BASELINES.get(space.__name__) or parameters_of(space, card.config)
        registry.config_class(name).from_settings(space(FixedTrial(found)))
    except KeyError as error:
        raise InputError(f"the space {space.__name__} is none for {name}: there is no {error}; take another") from error
    except InputError as error:
        raise InputError(f"the space {space.__name__} is none for {name}: {error}") from error
    return found


def impossible(trial: Any, reason: str, cause: Exception | None = None) -> NoReturn:
    """Give up a trial whose settings cannot be, and say why in its user attribute `impossible`.

    Raises:
        optuna.TrialPruned: always.
    """
    trial.set_user_attr("impossible", reason)
    raise TrialPruned(reason) from cause
