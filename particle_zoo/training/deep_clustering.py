"""Train deep embedded clustering on patches of camera frames into a run folder.

Besides what every run folder holds there are `autoencoder.weights.h5` after the pretraining, `clustering.csv` with one row a
target and `clusters.npz` with `labels`, `soft`, `embedding`, `centroids`, `ids`, `start_labels` (of k-means), `n_iter`,
`converged` and `reason`. A run that goes on repeats everything after the pretraining.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import keras
import numpy as np
import pandas as pd

from particle_zoo import registry
from particle_zoo.cli import replacing, write_json
from particle_zoo.data.patches import Patches, load_patches
from particle_zoo.errors import InputError
from particle_zoo.registry import ModelCard
from particle_zoo.training import devices, run_folder
from particle_zoo.training.cluster_checks import alarms, scan
from particle_zoo.training.cluster_stages import Refinement, kmeans_start, pretrain, refine
from particle_zoo.training.session import digest
from particle_zoo.weights import WEIGHTS, save, write_card

AUTOENCODER = "autoencoder.weights.h5"
CLUSTERS = "clusters.npz"
CLUSTERING = "clustering.csv"


@dataclass(frozen=True)
class ClusteringJob:
    """A model with fitted preprocessing and the patches to sort.

    Args:
        card: of the model.
        model: a `DEC`.
        dataset: name of the data set, or file of patches.
        patches: those to train on.
        left_out: patches that other regions reach into.
        seed: of weights, order and k-means.
        precision: dtype policy.
        limit: of the patches.
        init: run folder or published name that the autoencoder starts from, or none.
    """

    card: ModelCard
    model: Any
    dataset: str
    patches: Patches
    left_out: int
    seed: int
    precision: str
    limit: int | None
    init: str

    def config(self, model: Any = None) -> dict[str, Any]:
        """What config.json says: everything needed to rebuild the model and to repeat the run."""
        model = model or self.model
        return {
            "model": self.card.name,
            "config": model.zoo_config.model_dump(mode="json"),
            "preprocessing": model.preprocessor.to_dict(),
            "classes": None,
            "dataset": self.dataset,
            "fingerprint": self.patches.fingerprint,
            "split": "train",
            "init": self.init,
            "seed": self.seed,
            "precision": self.precision,
            "limit": self.limit,
            "train_ids": digest(self.patches.ids),
            "backend": keras.backend.backend(),
            "versions": run_folder.versions(),
        }

    def initialise(self) -> None:
        """Start from the autoencoder of another run of the same settings.

        Raises:
            InputError: weights that do not fit.
        """
        if self.init == "none":
            return
        from particle_zoo.weights import load_run, locate

        other, _ = load_run(locate(self.init))
        _take_autoencoder(self.model, other)

    def describe(self) -> str:
        """What is trained on what."""
        several = f" ({self.left_out:,} with several regions left out)" if self.left_out else ""
        return (
            f"{self.card.name}: {self.model.count_params():,} parameters, {len(self.patches):,} patches{several} of "
            f"{self.dataset}"
        )

    def train(
        self, folder: Path, *, quiet: bool = False, callbacks: Sequence[keras.callbacks.Callback] = ()
    ) -> dict[str, Any]:
        """Pretrain, start from k-means and refine; returns the metrics.

        Labels, where there are any, only count in the metrics. The callbacks are called while the autoencoder trains.

        Raises:
            InputError: the training diverged, or k is larger than the number of patches.
        """
        folder = Path(folder)
        if devices.current().chief:
            folder.mkdir(parents=True, exist_ok=True)
        x = self.model.preprocess(self.patches.images)
        self._pretrain(x, folder, quiet, callbacks)
        # k-means and the few steps of the clustering are the work of one device.
        embedding = self.model.encode(x)
        model, table = self.model, None
        if model.zoo_config.k == "scan":
            k, table = scan(embedding, range(2, model.zoo_config.scan_most + 1), seed=self.seed)
            model = self._with_clusters(k)
            if not quiet:
                click.echo(f"{k} clusters by the scan of 2 to {table['k'].max()}")
        c = model.zoo_config
        model.centroids, start = kmeans_start(embedding, c.clusters, restarts=c.restarts, seed=self.seed)
        found = refine(model, x, seed=self.seed, tell=None if quiet else _tell)
        save(model, folder / WEIGHTS)
        write_json(folder / "config.json", self.config(model))
        self._store(found, start, folder)
        metrics = self._metrics(model, found, start, table)
        for sentence in metrics["alarms"]:
            click.echo(f"collapse: {sentence}", err=True)
        if not quiet:
            click.echo(f"stopped after {found.n_iter} steps: {found.reason}")
        self._draw(model, found, folder)
        write_card(folder, model, {"metrics": metrics, "dataset": self.dataset, "classes": None})
        return metrics

    def _pretrain(
        self, x: np.ndarray, folder: Path, quiet: bool, callbacks: Sequence[keras.callbacks.Callback]
    ) -> None:
        path, history = folder / AUTOENCODER, folder / "history.csv"
        done = len(pd.read_csv(history)) if path.exists() and history.exists() else 0
        spread = devices.current()
        if spread.decide(done < self.model.zoo_config.epochs):
            if path.exists() and spread.chief:
                # More epochs than before: where the best weights are looked for lie those of the clustering.
                with replacing(folder / WEIGHTS) as temporary:
                    shutil.copyfile(path, temporary)
            # A bar on a terminal, one line an epoch in a log file.
            verbose = 0 if quiet else (1 if sys.stdout.isatty() else 2)
            pretrain(self.model, x, seed=self.seed, callbacks=callbacks, folder=folder, verbose=verbose)
            spread.dismiss()
            with replacing(path) as temporary:
                shutil.copyfile(folder / WEIGHTS, temporary)
        spread.dismiss()
        self.model.load_weights(path)

    def _with_clusters(self, k: int) -> Any:
        """The same autoencoder with k centroids."""
        settings = {**self.model.zoo_config.model_dump(), "found": k}
        model = registry.create(self.card.name, **settings)
        model.preprocessor = self.model.preprocessor
        _take_autoencoder(model, self.model)
        return model

    def _store(self, found: Refinement, start: np.ndarray, folder: Path) -> None:
        with replacing(folder / CLUSTERING) as temporary:
            found.history.to_csv(temporary, index=False)
        with replacing(folder / CLUSTERS) as temporary:
            np.savez_compressed(
                temporary,
                labels=found.labels,
                soft=found.soft,
                embedding=found.embedding,
                centroids=found.centroids,
                ids=self.patches.ids,
                start_labels=start,
                n_iter=found.n_iter,
                converged=found.converged,
                reason=found.reason,
            )

    def _metrics(self, model: Any, found: Refinement, start: np.ndarray, table: pd.DataFrame | None) -> dict[str, Any]:
        from particle_zoo.evaluation.deep_clustering.scores import MEASURES, scores

        metrics: dict[str, Any] = {
            "patches": len(self.patches),
            "left_out": self.left_out,
            "parameters": model.count_params(),
            "clusters": model.zoo_config.clusters,
            "n_iter": found.n_iter,
            "converged": found.converged,
            "reason": found.reason,
            "smallest_cluster": float(found.history["smallest"].iloc[-1]),
            "moved_since_start": float(np.mean(found.labels != start)),
            "alarms": alarms(found.labels, found.centroids),
        }
        if table is not None:
            metrics["scan"] = table.to_dict("records")
        if self.patches.labelled:
            for prefix, labels in (("", found.labels), ("start_", start)):
                values = scores(self.patches.kinds, labels)
                metrics |= {f"{prefix}{name}": values[name] for name in MEASURES}
        return metrics

    def _draw(self, model: Any, found: Refinement, folder: Path) -> None:
        from particle_zoo.plots import clusters, history

        plots = folder / "plots"
        history.curves(pd.read_csv(folder / "history.csv"), plots / "pretraining.png")
        clusters.refinement(found.history, plots / "clustering.png")
        noise = model.preprocessor.noise
        clusters.examples(self.patches.images, found.labels, found.soft, noise, plots / "clusters.png")
        colours = {"cluster": found.labels}
        if self.patches.labelled:
            colours["kind"] = self.patches.kinds
        clusters.maps(found.embedding, colours, plots / "latent.png")


def _tell(row: dict[str, float]) -> None:
    if row["step"]:
        click.echo(f"step {row['step']}: kl {row['kl']:.4f}, {row['changed']:.2%} of the labels changed")


def _take_autoencoder(model: Any, other: Any) -> None:
    """Take over encoder and decoder, whatever the number of centroids.

    Raises:
        InputError: they do not fit.
    """
    for name in ("encoder", "decoder"):
        ours, theirs = getattr(model, name), getattr(other, name, None)
        if theirs is None or [w.shape for w in theirs.weights] != [w.shape for w in ours.weights]:
            raise InputError(
                f"the weights of that {other.zoo_name} do not fit {model.zoo_name} with these settings; give a run of the "
                "same settings"
            )
        ours.set_weights(theirs.get_weights())


def prepare(
    card: ModelCard,
    overrides: dict[str, Any],
    *,
    seed: int,
    dataset: str | None = None,
    data_dir: Path | None = None,
    manual_dir: Path | None = None,
    limit: int | None = None,
    precision: str = "float32",
    init: str = "none",
    **data_overrides: Any,
) -> ClusteringJob:
    """Load the patches, build the model and fit its preprocessing on them.

    Args:
        card: of a model of this task.
        overrides: settings of its configuration.
        seed: of weights, order and k-means; simulated patches are the same for all.
        dataset: see `load_patches`; the card's default without it.
        data_dir: as in `load_patches`.
        manual_dir: as in `load_patches`.
        limit: the first so many.
        precision: dtype policy.
        init: run folder or published name of the same settings to start the autoencoder from, or none.
        data_overrides: further arguments of `load_patches`.

    Raises:
        InputError: unusable settings or patches, or more clusters than patches.
    """
    if init == "imagenet":
        raise InputError(f"{card.name} has no ImageNet weights; give --init none or the folder of a run")
    c = registry.config_class(card.name).from_settings({**overrides, "found": 0})
    dataset = dataset or card.default_dataset
    chosen = {"n": c.patches, "mix": c.mix, "size": c.size, "limit": limit, **data_overrides}
    loaded = load_patches(dataset, data_dir=data_dir, manual_dir=manual_dir, **chosen)
    patches = loaded if c.several else loaded[~loaded.several]
    if not len(patches):
        raise InputError(
            f"other regions reach into all {len(loaded)} patches of {dataset}; take them with --set several=true"
        )
    keras.config.set_dtype_policy(precision)
    keras.utils.set_random_seed(seed)
    model = registry.create(card.name, **c.model_dump())
    model.preprocessor = model.preprocessor.fit(patches.images)
    if c.k != "scan" and c.k > len(patches):
        raise InputError(f"k is {c.k}, more than the {len(patches)} patches of {dataset}; give a smaller --set k")
    return ClusteringJob(card, model, dataset, patches, len(loaded) - len(patches), seed, precision, limit, init)
