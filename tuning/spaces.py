"""Search spaces, define-by-run, and the hand-found values each search starts from.

The two CNN spaces are the tables of seed 003, name by name; `CNNConfig` and `CNNMetaConfig` understand these names.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from optuna import Trial

Space = Callable[[Trial], None]


def cnn(trial: Trial) -> None:
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


def cnn_meta(trial: Trial) -> None:
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


SPACES: dict[str, Space] = {"cnn": cnn, "tiny_cnn": cnn, "cnn_meta": cnn_meta}

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
"""The tables' final values, trial 0 of a search over the space of that name."""
