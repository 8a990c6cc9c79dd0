"""How much of a class an unsupervised latent vector knows."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from particle_zoo.clusters import Clusters
from particle_zoo.errors import InputError
from particle_zoo.evaluation.batches import fitting
from particle_zoo.pipelines.examples import Examples

NEIGHBOURS = 5
FOLDS = 5
BATCH = 64


def latents(model: Any, clusters: Clusters, *, without_meta: bool = False) -> np.ndarray:
    """(n, latent) float32 latent means; with the four metadata values set to their training mean if asked."""
    examples = Examples(clusters, model.preprocess, batch_size=fitting(model, BATCH))
    parts = []
    for step in range(len(examples)):
        inputs, _ = examples.batch(step)
        if without_meta:
            inputs = {**inputs, "meta": np.zeros_like(inputs["meta"])}
        parts.append(np.asarray(model.encode(inputs)))
    return np.concatenate(parts)


def losses(model: Any, clusters: Clusters) -> dict[str, float]:
    """Reconstruction BCE (summed over pixels) and KL divergence, mean over clusters, in nats.

    For decoders that take pooling indices also `bce_other_indices`: the BCE when the indices come from the next image
    of the batch. What it exceeds `bce` by is the information that bypasses the latent vector.
    """
    from keras import ops

    from particle_zoo.losses import gaussian_kl, summed_binary_crossentropy

    examples = Examples(clusters, model.preprocess, batch_size=BATCH)
    bce = kl = leaked = 0.0
    for step in range(len(examples)):
        inputs, _ = examples.batch(step)
        outputs = model(inputs, training=False)
        bce += float(ops.sum(summed_binary_crossentropy(inputs["image"], outputs["reconstruction"])))
        kl += float(ops.sum(gaussian_kl(outputs["z_mean"], outputs["z_log_var"])))
        if model.zoo_config.use_indices:
            other = {name: np.roll(array, 1, axis=0) for name, array in inputs.items()}
            drawn = model.reconstruct(inputs, indices_from=other)
            leaked += float(ops.sum(summed_binary_crossentropy(inputs["image"], drawn)))
    n = len(clusters)
    found = {"loss": (bce + model.zoo_config.kl_weight * kl) / n, "bce": bce / n, "kl": kl / n}
    return found | ({"bce_other_indices": leaked / n} if model.zoo_config.use_indices else {})


def probeable(labels: np.ndarray) -> bool:
    """Whether there is something to tell apart: at least two classes of at least two clusters each."""
    _, counts = np.unique(labels, return_counts=True)
    return len(counts) > 1 and counts.min() > 1


def representations(model: Any, clusters: Clusters) -> dict[str, np.ndarray]:
    """What a class may be read off, (n, k) each: latent mean with and without metadata, metadata alone, and pixels."""
    inputs = model.preprocess(clusters)
    return {
        "latent mean": latents(model, clusters),
        "latent mean, metadata zeroed": latents(model, clusters, without_meta=True),
        "metadata alone": inputs["meta"],
        "pixels": inputs["image"].reshape(len(clusters), -1),
    }


def nearest_neighbours(n: int) -> Any:
    """The 5-nearest-neighbour classifier on standardised columns, fewer neighbours for fewer than 10 examples."""
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), KNeighborsClassifier(min(NEIGHBOURS, n // 2)))


def probe(vectors: np.ndarray, labels: np.ndarray, seed: int = 0) -> dict[str, float]:
    """Scores of one representation against the labels.

    5-nearest-neighbour and linear-probe accuracy are means over a stratified 5-fold cross-validation by cluster, each
    with columns standardised on its own training folds; k-means with as many groups as classes is scored by adjusted
    Rand index and normalised mutual information.

    Raises:
        InputError: fewer than two classes or fewer clusters in a class than folds.
    """
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score
    from sklearn.model_selection import StratifiedKFold, cross_val_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    names, counts = np.unique(labels, return_counts=True)
    if not probeable(labels):
        raise InputError(
            "a latent space is probed with at least two classes of at least two clusters each; received "
            + ", ".join(f"{n} {c}" for n, c in zip(names, counts, strict=True))
            + "; choose a larger --split"
        )
    folds = StratifiedKFold(min(FOLDS, int(counts.min())), shuffle=True, random_state=seed)
    vectors = vectors.astype(np.float64)
    knn = nearest_neighbours(len(labels))
    linear = make_pipeline(StandardScaler(), LogisticRegression(max_iter=5000))
    with warnings.catch_warnings():
        # A collapsed latent space has fewer distinct points than classes; its scores say so.
        warnings.simplefilter("ignore", ConvergenceWarning)
        groups = KMeans(len(names), n_init=10, random_state=seed).fit_predict(StandardScaler().fit_transform(vectors))
    return {
        "knn_accuracy": float(cross_val_score(knn, vectors, labels, cv=folds).mean()),
        "linear_accuracy": float(cross_val_score(linear, vectors, labels, cv=folds).mean()),
        "kmeans_ari": float(adjusted_rand_score(labels, groups)),
        "kmeans_nmi": float(normalized_mutual_info_score(labels, groups)),
    }


def compare(model: Any, clusters: Clusters, seed: int = 0) -> dict[str, dict[str, float]]:
    """`probe` of each of the `representations`."""
    return {name: probe(x, clusters.labels, seed) for name, x in representations(model, clusters).items()}
