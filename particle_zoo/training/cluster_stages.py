"""The three stages of deep embedded clustering: an autoencoder, k-means on its latent vectors, and refinement.

They work on model inputs in memory, whatever these show, and know no labels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd

from particle_zoo.errors import InputError
from particle_zoo.losses import target_distribution
from particle_zoo.training.fit import run_epochs


@dataclass(frozen=True)
class IndexBatches:
    """Which of n images are in which step: every pass takes all in another order, but for an incomplete last batch.

    Images and targets are looked up by the same numbers, so no order can come between them.

    Args:
        n: number of images.
        batch_size: of a step; with fewer images all of them.
        seed: of the orders.
    """

    n: int
    batch_size: int
    seed: int

    def __len__(self) -> int:
        """Steps a pass."""
        return max(1, self.n // self.batch_size)

    def __getitem__(self, step: int) -> np.ndarray:
        """(batch,) numbers of the images of a step, counted over all passes."""
        number, place = divmod(step, len(self))
        order = np.random.default_rng((self.seed, number)).permutation(self.n)
        size = min(self.batch_size, self.n)
        return order[place * size : (place + 1) * size]


@dataclass(frozen=True, eq=False)
class Refinement:
    """What refinement has come to.

    Args:
        labels: (n,) cluster of each image, the one with the largest share.
        soft: (n, clusters) float32 shares.
        embedding: (n, latent) float32.
        centroids: (clusters, latent) float32.
        n_iter: steps taken.
        converged: whether fewer labels changed between two targets than the tolerance.
        reason: why it stopped.
        history: one row a target: `step`, `loss`, `kl` and, with reconstruction, `mse` as means of the steps before it,
            `changed` (share of labels) and `smallest` (share of the smallest cluster).
    """

    labels: np.ndarray
    soft: np.ndarray
    embedding: np.ndarray
    centroids: np.ndarray
    n_iter: int
    converged: bool
    reason: str
    history: pd.DataFrame


def pretrain(
    model: Any,
    x: np.ndarray,
    *,
    seed: int,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    folder: Path | None = None,
    verbose: int = 0,
) -> None:
    """Train the autoencoder alone; with a folder, resumably.

    Args:
        model: a `DEC`.
        x: (n, size, size, 1) inputs.
        seed: of the order.
        callbacks: further callbacks.
        folder: see `run_epochs`.
        verbose: as in `keras.Model.fit`.

    Raises:
        InputError: the training diverged.
    """
    order = IndexBatches(len(x), model.zoo_config.batch_size, seed)
    model.begin("pretraining")
    run_epochs(
        model,
        partial(image_batches, x, order),
        steps=len(order),
        epochs=model.zoo_config.epochs,
        callbacks=callbacks,
        folder=folder,
        verbose=verbose,
    )


def image_batches(x: np.ndarray, order: IndexBatches, first: int, last: int) -> Iterator[tuple[np.ndarray]]:
    """Yield (inputs,) of every step from the start of pass `first` to the end of pass `last`, counted from 0 and from 1."""
    for step in range(first * len(order), last * len(order)):
        yield (x[order[step]],)


def kmeans_start(embedding: np.ndarray, clusters: int, *, restarts: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The best of several k-means.

    Args:
        embedding: (n, latent).
        clusters: number of clusters.
        restarts: how many.
        seed: of their starts.

    Returns:
        (clusters, latent) centroids and (n,) labels.

    Raises:
        InputError: fewer images than clusters.
    """
    if clusters > len(embedding):
        raise InputError(
            f"{clusters} clusters need as many patches or more; received {len(embedding)}; give a smaller k"
        )
    found = kmeans(embedding, clusters, restarts, seed)
    return found.cluster_centers_.astype(np.float32), found.labels_


def kmeans(vectors: np.ndarray, clusters: int, restarts: int, seed: int) -> Any:
    """A fitted `sklearn.cluster.KMeans`."""
    from sklearn.cluster import KMeans
    from threadpoolctl import threadpool_limits

    # Its threads wait for each other actively: on cores that are shared this takes a hundred times longer.
    with threadpool_limits(1):
        return KMeans(clusters, n_init=restarts, random_state=seed).fit(vectors)


def refine(
    model: Any, x: np.ndarray, *, seed: int, tell: Callable[[dict[str, float]], None] | None = None
) -> Refinement:
    """Move encoder and centroids until the labels settle.

    The targets P come from the whole set, every `update_interval` steps.

    Args:
        model: a pretrained `DEC` with the centroids to start from.
        x: (n, size, size, 1) inputs.
        seed: of the order.
        tell: called with every row of the history.

    Raises:
        InputError: the training diverged.
    """
    c = model.zoo_config
    order = IndexBatches(len(x), c.batch_size, seed)
    interval = c.update_interval or len(order)
    model.begin("clustering")
    rows: list[dict[str, float]] = []
    before: np.ndarray | None = None
    logs: dict[str, float] = {}
    converged, step, taken = False, 0, 0
    while True:
        embedding, soft = model.assign(x)
        _check(soft, c.cluster_learning_rate, step)
        labels = soft.argmax(1)
        changed = float("nan") if before is None else float(np.mean(labels != before))
        sizes = np.bincount(labels, minlength=soft.shape[1])
        rows.append({"step": step, **logs, "changed": changed, "smallest": sizes.min() / len(x)})
        if tell is not None:
            tell(rows[-1])
        # While the scale of the loss in float16 is too large, its steps are left out, and labels that stay say nothing.
        taken, before_that = int(model.optimizer.iterations), taken
        converged = taken > before_that and (changed < c.tolerance or changed == 0)
        if converged or step >= c.cluster_steps:
            break
        target, before = target_distribution(soft), labels
        model.reset_metrics()
        first, step = step, min(step + interval, c.cluster_steps)
        for chosen in map(order.__getitem__, range(first, step)):
            logs = model.train_on_batch(x[chosen], target[chosen], return_dict=True)
        logs = {name: float(value) for name, value in logs.items()}
    reason = (
        f"{changed:.2%} of the labels changed in {interval} steps, the tolerance is {c.tolerance:.2%}"
        if converged
        else f"cluster_steps {c.cluster_steps} were reached while {changed:.2%} of the labels still changed"
    )
    return Refinement(labels, soft, embedding, model.centroids, step, converged, reason, pd.DataFrame(rows))


def _check(soft: np.ndarray, rate: float, step: int) -> None:
    if not np.isfinite(soft).all():
        raise InputError(
            f"shares of clusters are no numbers after {step} steps: the training diverged; lower cluster_learning_rate "
            f"(now {rate:g}) and start again"
        )
