"""What a study of deep clustering sorts: simulated patches, and images of digits as an anchor known from elsewhere."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from particle_zoo.cli import sentence
from particle_zoo.data.patches import load_patches
from particle_zoo.errors import InputError
from particle_zoo.evaluation.deep_clustering.hand_features import cluster, hand_features

SETS = ("balanced", "unbalanced", "digits", "mnist")

FORMS: dict[str, dict[str, Any]] = {
    "balanced": {"filters": [16, 32, 64], "epochs": 15, "batch_size": 50, "cluster_steps": 400},
    "unbalanced": {"filters": [16, 32, 64], "epochs": 15, "batch_size": 50, "cluster_steps": 400},
    "digits": {"size": 8, "units": [256, 256, 512], "epochs": 100, "batch_size": 128, "cluster_steps": 2_000},
    # Network, steps and interval of the papers.
    "mnist": {
        "size": 28, "units": [500, 500, 2000], "epochs": 100, "batch_size": 256, "cluster_steps": 20_000, "update_interval": 140,
    },
}  # fmt: skip
"""Settings of the networks for each set, sized for two slow cores but for MNIST, which wants a GPU."""


@dataclass(frozen=True, eq=False)
class Sample:
    """Images with known kinds.

    Args:
        name: one of `SETS`.
        x: (n, size, size, 1) float32 inputs of a network.
        kinds: (n,) names.
        simple: clusters without a network: labels by method, of k clusters and a seed.
    """

    name: str
    x: np.ndarray
    kinds: np.ndarray
    simple: Callable[[int, int], dict[str, np.ndarray]]

    @property
    def k(self) -> int:
        """Number of kinds."""
        return len(np.unique(self.kinds))


def sample(
    name: str, *, patches: int, size: int, scaling: str = "log", data_dir: Path | None = None, mnist: Path | None = None
) -> Sample:
    """A set by name.

    Args:
        name: one of `SETS`.
        patches: number of simulated patches.
        size: side of a patch, px.
        scaling: of its counts, see `PatchPreprocessor`.
        data_dir: where simulated patches are kept.
        mnist: mnist.npz as Keras has it.

    Raises:
        InputError: a file that is no mnist.npz.
    """
    if name == "digits":
        from sklearn.datasets import load_digits

        found = load_digits()
        return _pixels(name, found.images / 16, found.target)
    if name == "mnist":
        images, digits = read_mnist(mnist)
        return _pixels(name, images / 255, digits)
    from particle_zoo.pipelines.patches import PatchPreprocessor

    loaded = load_patches("camera_frames/simulated_realistic", n=patches, mix=name, size=size, data_dir=data_dir)
    preprocessor = PatchPreprocessor(size=size, scaling=scaling).fit(loaded.images)
    features = hand_features(loaded.images, preprocessor.noise)
    return Sample(name, preprocessor(loaded.images), loaded.kinds, lambda k, seed: cluster(features, k, seed))


def _pixels(name: str, images: np.ndarray, digits: np.ndarray) -> Sample:
    from particle_zoo.training.cluster_stages import kmeans

    x = images.astype(np.float32)[..., None]
    flat = x.reshape(len(x), -1)
    return Sample(name, x, digits.astype(str), lambda k, seed: {"k-means, pixels": kmeans(flat, k, 20, seed).labels_})


def read_mnist(path: Path | None) -> tuple[np.ndarray, np.ndarray]:
    """(70000, 28, 28) images of 0..255 and (70000,) digits of mnist.npz.

    Raises:
        InputError: it cannot be read, or holds something else.
    """
    if path is None:
        raise InputError("MNIST is not part of this package; give its file with --mnist mnist.npz")
    try:
        with Path(path).open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            images, digits = (np.concatenate([file[f"{key}_train"], file[f"{key}_test"]]) for key in "xy")
    except OSError as error:
        raise InputError(
            f"{path} cannot be read ({sentence(str(error))[:120]}); give mnist.npz as Keras has it"
        ) from error
    # NumPy returns an array of a .npy file, which is no context.
    except (ValueError, KeyError, EOFError, TypeError, AttributeError, zipfile.BadZipFile) as error:
        raise InputError(
            f"{path} holds no x_train, x_test, y_train and y_test ({sentence(str(error))[:120]}); give mnist.npz as Keras has it"
        ) from error
    if images.ndim != 3 or images.shape[1:] != (28, 28) or digits.shape != images.shape[:1]:
        raise InputError(
            f"{path} must hold images of 28 x 28 px and one digit each; received {images.shape} and {digits.shape}"
        )
    return images, digits
