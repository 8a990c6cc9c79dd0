"""DEC and IDEC beside the k-means they start from and beside simpler methods, over several seeds."""

from __future__ import annotations

import shutil
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np

from particle_zoo.cli import read_json, table, write_json
from particle_zoo.errors import InputError
from particle_zoo.evaluation.deep_clustering.samples import FORMS, SETS, Sample, sample
from particle_zoo.evaluation.deep_clustering.scores import MEASURES, scores

START = "k-means, latent"
"""What DEC and IDEC start from."""

NETWORKS = ("dec", "idec")

LOST = 0.05
"""A kind that loses more of its patches is named, whatever the accuracy of all says."""

MNIST_GATE = 0.84
"""Mean accuracy on MNIST: about what the papers of DEC and IDEC found."""


def compare(
    sets: Sequence[str],
    output: Path | None = None,
    *,
    seeds: int = 5,
    patches: int = 1_000,
    settings: dict[str, Any] | None = None,
    mnist: Path | None = None,
    data_dir: Path | None = None,
    force: bool = False,
    quiet: bool = False,
) -> dict[str, Any]:
    """Run the study, print its tables and write results.json; what an earlier start has finished is kept.

    DEC and IDEC share the autoencoder and the k-means start of a seed. Simulated patches are the same for all seeds, which
    are those of weights, order and k-means. The number of clusters is that of the kinds; which one a scan would have chosen
    is told beside.

    Args:
        sets: of `SETS`.
        output: folder; runs/deep_clustering by default.
        seeds: how many, from 0.
        patches: simulated patches of each mix.
        settings: of the networks, over those of `FORMS`.
        mnist: mnist.npz.
        data_dir: where simulated patches are kept.
        force: start over in a folder with other settings.
        quiet: no progress.

    Returns:
        By set: `n`, `k`, `methods` (means, least, greatest and all seeds of every measure, recall by kind), `scan`
        (numbers of clusters by how often they were chosen) and `sentences`.

    Raises:
        InputError: an unknown set or setting, a damaged file, or a folder of a study with other settings.
    """
    unknown = [name for name in sets if name not in SETS]
    if unknown or not sets:
        raise InputError(f"a study takes some of {', '.join(SETS)}; received {', '.join(unknown) or 'none'}")
    folder = Path(output or Path("runs") / "deep_clustering")
    chosen = {name: _settings(name, settings or {}) for name in sets}
    results = {}
    for name in sets:
        given = {"size": 100} | {key: chosen[name][key] for key in ("size", "scaling") if key in chosen[name]}
        whole = sample(name, patches=patches, data_dir=data_dir, mnist=mnist, **given)
        _begin(folder / name, {"settings": chosen[name], "images": len(whole.x), "kinds": whole.k}, force=force)
        found = []
        for seed in range(seeds):
            path = folder / name / f"seed-{seed}.json"
            if not path.exists():
                if not quiet:
                    click.echo(f"{name}, seed {seed} of {seeds}")
                write_json(path, one_seed(whole, chosen[name], seed))
            found.append(read_json(path, what="result of a seed"))
        results[name] = collect(whole, found)
        show(name, results[name])
    write_json(folder / "results.json", results)
    return results


def _settings(name: str, changes: dict[str, Any]) -> dict[str, Any]:
    from particle_zoo import registry

    found = {**FORMS[name], **changes}
    for network in NETWORKS:
        registry.config_class(network).from_settings(found)
    return found


def _begin(folder: Path, state: dict[str, Any], *, force: bool) -> None:
    path = folder / "settings.json"
    if force and path.exists():
        shutil.rmtree(folder)
    if path.exists():
        before = read_json(path, what="settings of the study")
        for key in state:
            if before.get(key) != state[key]:
                raise InputError(
                    f"{folder} was started with {key} {before.get(key)}, now it is {state[key]}; repeat the first command, "
                    "choose another --output, or start over with --force"
                )
    write_json(path, state)


def one_seed(whole: Sample, settings: dict[str, Any], seed: int) -> dict[str, Any]:
    """Scores of all methods with one seed, and what a scan of k says."""
    import keras

    from particle_zoo import registry
    from particle_zoo.training.cluster_checks import alarms, scan
    from particle_zoo.training.cluster_stages import kmeans_start, pretrain, refine

    keras.utils.clear_session()
    keras.utils.set_random_seed(seed)
    k = whole.k
    methods: dict[str, Any] = {method: scores(whole.kinds, found) for method, found in whole.simple(k, seed).items()}
    started = time.perf_counter()
    autoencoder = registry.create("idec", **{**settings, "k": k})
    pretrain(autoencoder, whole.x, seed=seed)
    embedding = autoencoder.encode(whole.x)
    centroids, start = kmeans_start(embedding, k, restarts=autoencoder.zoo_config.restarts, seed=seed)
    methods[START] = {
        **scores(whole.kinds, start),
        "seconds": time.perf_counter() - started,
        "alarms": alarms(start, centroids),
    }
    for name in NETWORKS:
        started = time.perf_counter()
        model = registry.create(name, **{**settings, "k": k})
        model.set_weights(autoencoder.get_weights())
        model.centroids = centroids
        found = refine(model, whole.x, seed=seed)
        methods[name] = {
            **scores(whole.kinds, found.labels),
            "n_iter": found.n_iter,
            "converged": found.converged,
            "reason": found.reason,
            "alarms": alarms(found.labels, found.centroids),
            "seconds": time.perf_counter() - started,
        }
    best, _ = scan(embedding, range(2, max(10, k + 4) + 1), seed=seed)
    return {"seed": seed, "scan": best, "methods": methods}


def collect(whole: Sample, found: list[dict[str, Any]]) -> dict[str, Any]:
    """The results of all seeds of a set."""
    methods: dict[str, Any] = {}
    for name in found[0]["methods"]:
        rows = [one["methods"][name] for one in found]
        numbers = {measure: _spread([row[measure] for row in rows]) for measure in MEASURES}
        recall = {kind: _spread([row["recall"][kind] for row in rows]) for kind in rows[0]["recall"]}
        methods[name] = {**numbers, "recall": recall}
        if name in NETWORKS:
            gains = [row["accuracy"] - one["methods"][START]["accuracy"] for row, one in zip(rows, found, strict=True)]
            methods[name]["gain"] = _spread(gains)
            methods[name]["steps"] = _spread([row["n_iter"] for row in rows])
            methods[name]["converged"] = sum(row["converged"] for row in rows)
            methods[name]["alarms"] = sum(bool(row["alarms"]) for row in rows)
    result = {
        "n": len(whole.x),
        "k": whole.k,
        "seeds": len(found),
        "methods": methods,
        "scan": {str(k): times for k, times in Counter(one["scan"] for one in found).most_common()},
    }
    result["sentences"] = sentences(whole.name, result)
    return result


def _spread(values: list[float]) -> dict[str, Any]:
    return {"mean": float(np.mean(values)), "min": min(values), "max": max(values), "seeds": values}


def sentences(name: str, result: dict[str, Any]) -> list[str]:
    """What the numbers of a set say."""
    methods, seeds, found = result["methods"], result["seeds"], []
    others = {method: row["accuracy"]["mean"] for method, row in methods.items() if method not in (*NETWORKS, START)}
    best = max(others, key=others.__getitem__)
    for network in NETWORKS:
        row, gain = methods[network], methods[network]["gain"]
        worse = sum(value < 0 for value in gain["seeds"])
        better = sum(value > 0 for value in gain["seeds"])
        found.append(
            f"{name}: {network} is better than its k-means start with {better} of {seeds} seeds and worse with {worse}; its "
            f"accuracy changes by {100 * gain['mean']:+.1f} points ({100 * gain['min']:+.1f} to {100 * gain['max']:+.1f}), to "
            f"{100 * (row['accuracy']['mean'] - others[best]):+.1f} against {best}; it converged {row['converged']} times and "
            f"raised the collapse alarm {row['alarms']} times"
        )
        lost = _lost(methods[START]["recall"], row["recall"])
        if lost:
            found.append(f"{name}: {network} finds less than its start of {lost} (share in its cluster, mean)")
    chosen = ", ".join(f"{k} ({times} times)" for k, times in result["scan"].items())
    found.append(f"{name}: of {result['k']} kinds a scan without labels makes {chosen} clusters")
    if name == "mnist":
        accuracy, gain = methods["dec"]["accuracy"]["mean"], methods["dec"]["gain"]["mean"]
        kept = accuracy >= MNIST_GATE and gain >= 0
        found.append(
            f"mnist: dec has {accuracy:.1%} on average, the gate of {MNIST_GATE:.0%} and of no loss against its start is "
            f"{'kept' if kept else 'missed'}"
        )
    return found


def _lost(before: dict[str, Any], now: dict[str, Any]) -> str:
    pairs = {kind: (before[kind]["mean"], now[kind]["mean"]) for kind in before}
    return ", ".join(f"{kind} ({old:.0%} to {new:.0%})" for kind, (old, new) in pairs.items() if old - new > LOST)


def show(name: str, result: dict[str, Any]) -> None:
    """Print the tables and sentences of a set."""
    kinds = list(next(iter(result["methods"].values()))["recall"])
    rows = []
    for method, row in result["methods"].items():
        gain = _text(row["gain"], "+") if "gain" in row else ""
        rows.append((method, *(_text(row[measure]) for measure in MEASURES), gain))
    title = f"{name}: {result['n']:,} images of {result['k']} kinds; percent, mean (least to greatest) of {result['seeds']} seeds"
    table(title, ("method", *MEASURES, f"accuracy minus {START}"), rows)
    if len(kinds) <= 6:
        recalls = [
            (method, *(f"{100 * row['recall'][kind]['mean']:.0f}" for kind in kinds))
            for method, row in result["methods"].items()
        ]
        table(f"{name}: share of each kind that is in its cluster, percent, mean", ("method", *kinds), recalls)
    for sentence in result["sentences"]:
        click.echo(sentence)


def _text(number: dict[str, Any], sign: str = "") -> str:
    mean, least, greatest = (f"{100 * number[key]:{sign}.1f}" for key in ("mean", "min", "max"))
    return f"{mean} [{least}, {greatest}]"
