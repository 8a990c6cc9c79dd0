"""`python -m particle_zoo.evaluate NAME_OR_RUN`: the metrics of a trained model on a split."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from particle_zoo.cli import (
    dataset_options,
    load_keras,
    output_options,
    parse_settings,
    precision_option,
    run,
    table,
    tell_averaged,
    write_json,
)
from particle_zoo.errors import InputError
from particle_zoo.frame_options import refuse

DRAWN = 5_000
"""Clusters whose reconstructions are scored without --limit: three models draw each of them."""


@click.command(context_settings={"show_default": True})
@click.argument("model", metavar="NAME_OR_RUN")
@dataset_options
@click.option(
    "--split",
    default="test",
    help="train, validation, test, or all for their union. Of camera frames signal, with the dark frames of pedestal_test, "
    "or those alone.  [default of camera frames: signal]",
)
@click.option("--limit", type=click.IntRange(1), help="Use the first N clusters, frames or jets of the split only.")
@click.option(
    "--protocol",
    type=click.Choice(("split", "kfold", "seed")),
    default="split",
    help="split: a trained model on a split. kfold: train anew in folds by cluster id. "
    "seed: train anew on the seed's leaky split (augment, then split) and on a clean one.",
)
@click.option("--folds", type=click.IntRange(2), default=5, help="Folds of --protocol kfold.")
@click.option(
    "--repeats",
    type=click.IntRange(1),
    default=1,
    help="Repetitions of --protocol kfold or seed, each with its own seed.",
)
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Settings for the protocols that train.")
@click.option(
    "--compare",
    metavar="RUN2",
    help="Print a second autoencoder, for instance without mask heads, beside the first on the same clusters; or a second "
    "anomaly model beside the first on the same frames.",
)
@click.option(
    "--rate", type=float, default=1.0, help="Anomaly models: false regions a frame that the threshold allows."
)
@click.option("--output", type=click.Path(path_type=Path), help="Folder for figures.  [default: plots/ of the run]")
@precision_option
@output_options
def evaluate(
    model: str, protocol: str, settings: tuple[str, ...], json_path: Path | None, quiet: bool, **options: Any
) -> None:
    """Evaluate a run folder or a published model, beside simple baselines on the same clusters.

    Classifiers: accuracy, balanced accuracy, precision, recall and confusion matrix beside a random forest on shape
    features and the majority class. Variational autoencoders: reconstruction and KL terms, and how well the classes
    can be read off the latent mean, the metadata and the pixels. Autoencoders: energy error, mask overlap and sharpness
    of reconstructions by track type beside PCA, and how well length and angle of a track can be read off the latent
    vector. Anomaly models of camera frames: light kept, area discarded, events found by energy and false regions, beside
    plain pedestal subtraction and an online trigger where these discard as much. Autoencoders of jets: mean square error beside
    PCA and dropped variables, residuals and their correlations. With --protocol kfold or seed, NAME is a model's.
    """
    if protocol != "split" and options["compare"]:
        raise InputError("--compare takes two trained runs; leave --protocol out")
    if protocol == "split" and settings:
        raise InputError("--set changes a training; give it together with --protocol kfold or seed")
    load_keras(options["precision"])
    if protocol == "split":
        result = on_split(model, options, click.get_current_context(), quiet=quiet)
    else:
        from particle_zoo.evaluation import protocols

        overrides = parse_settings(settings)
        if protocol == "kfold":
            result = protocols.kfold(model, overrides, options, quiet=quiet)
        else:
            result = protocols.seed_split(model, overrides, options, quiet=quiet)
    if json_path:
        write_json(json_path, result)


def on_split(source: str, options: dict[str, Any], context: click.Context, *, quiet: bool = False) -> dict[str, Any]:
    """Evaluate one trained model and print its tables."""
    from particle_zoo import data, registry
    from particle_zoo.evaluation.batches import averaged
    from particle_zoo.evaluation.report import evenly
    from particle_zoo.training.session import is_classifier, parse_classes, pick_data
    from particle_zoo.weights import load_run, locate, results_dir, task_of

    folder = locate(source)
    task = task_of(folder)
    if task != "anomaly":
        refuse(context, ("rate",), "is for models that find regions in camera frames")
    if task == "anomaly":
        from particle_zoo.evaluation.anomaly.of_run_report import report

        refuse(context, ("classes", "folds", "repeats"), "is not for models of camera frames")
        if context.get_parameter_source("split") is not ParameterSource.COMMANDLINE:
            options = {**options, "split": "signal"}
        return report(source, folder, options, quiet=quiet)
    if task == "deep_clustering":
        from particle_zoo.evaluation.deep_clustering.on_run import on_run

        refuse(context, ("split", "compare", "classes", "folds", "repeats"), "is not for models that sort patches")
        return on_run(source, options)
    if task == "compression":
        from particle_zoo.evaluation.jets.on_run import on_run as on_jets

        refuse(context, ("compare", "classes", "folds", "repeats"), "is not for models of jets")
        return on_jets(source, folder, options)
    model, config = load_run(folder)
    card = registry.info(config["model"])
    second = _second(options["compare"], card)
    choice = pick_data(options)
    dataset = choice.pop("dataset") or config["dataset"]
    text = choice.pop("classes")
    trained = config["classes"]
    if is_classifier(card):
        if text and parse_classes(text, dataset, choice["manual_dir"]) != tuple(trained):
            raise InputError(
                f"{source} was trained on the classes {','.join(trained)}; received --classes {text}; leave the option out"
            )
        classes = tuple(trained)
    else:
        classes = parse_classes(text, dataset, choice["manual_dir"]) if text or data.labelled(dataset) else ()
    clusters = data.load(dataset, choice.pop("split"), classes=classes or None, **choice)
    plots = Path(options["output"]) if options["output"] else results_dir(source, folder) / "plots"
    head = {"model": card.name, "dataset": dataset, "split": options["split"], "n": len(clusters)}
    if card.task == "autoencoder":
        if options["limit"] is None and len(clusters) > DRAWN:
            click.echo(f"{DRAWN:,} of {len(clusters):,} clusters, spread evenly; --limit N takes the first N instead")
            clusters = evenly(clusters, DRAWN)
            head["n"] = len(clusters)
        model.preprocessor.check(clusters)
        return head | _drawn(
            model, config, clusters, second, folder, plots, {**options, "dataset": dataset, "run": source}
        )
    if is_classifier(card):
        head["averaged_over_blocks"] = averaged(model, clusters)
        tell_averaged(head["averaged_over_blocks"])
        return head | _classifier(model, clusters, classes, folder, plots, options["seed"])
    return head | _variational(model, clusters, folder, plots, options["seed"])


def _classifier(
    model: Any, clusters: Any, classes: tuple[str, ...], folder: Path, plots: Path, seed: int
) -> dict[str, Any]:
    from particle_zoo.evaluation import baseline, classifier
    from particle_zoo.pipelines.examples import class_index
    from particle_zoo.plots import classification

    truth = class_index(clusters, classes)
    probability = classifier.probabilities(model, clusters)
    scores = _scores(truth, probability.argmax(1), classes)
    reference = baseline.restore(folder / "baseline.parquet")
    features = reference.drop(columns=["id", "label", "digest"])
    rivals = baseline.predict(features, reference["label"].to_numpy(), clusters, classes, seed)
    others = {name: _scores(truth, predicted, classes) for name, predicted in rivals.items()}
    seen = baseline.trained_on(reference, clusters)

    rows: list[tuple[Any, ...]] = [
        (name, *(_around(found[key], found["intervals"][key]) for key in ("accuracy", "balanced_accuracy")))
        for name, found in {model.zoo_name: scores, **others}.items()
    ]
    table(f"{scores['n']} clusters, with 95 % intervals", ("method", "accuracy", "balanced accuracy"), rows)
    table(
        "confusion matrix (rows: truth)",
        ("class", *classes, "precision", "recall"),
        [
            (name, *row, scores["precision"][name], scores["recall"][name])
            for name, row in zip(classes, scores["confusion_matrix"], strict=True)
        ],
    )
    click.echo(f"{seen} of the {scores['n']} evaluated ids were trained on")
    classification.confusion(scores["confusion_matrix"], classes, plots / "confusion.png")
    classification.reliability(truth, probability, classes, plots / "reliability.png")
    click.echo(f"figure: {plots / 'confusion.png'}\nfigure: {plots / 'reliability.png'}")
    return {**scores, "trained_on": seen, "baselines": others}


def _scores(truth: Any, predicted: Any, classes: tuple[str, ...]) -> dict[str, Any]:
    from particle_zoo.evaluation import classifier

    found = classifier.scores(truth, predicted, classes)
    return {**found, "intervals": classifier.intervals(found["confusion_matrix"])}


def _around(value: float, interval: list[float]) -> str:
    return f"{value:.4f} [{interval[0]:.4f}, {interval[1]:.4f}]"


def _variational(model: Any, clusters: Any, folder: Path, plots: Path, seed: int) -> dict[str, Any]:
    from particle_zoo.evaluation import baseline, latent
    from particle_zoo.plots import images

    losses = latent.losses(model, clusters)
    # What the pooling indices carry around the latent vector: the same means, decoded with another image's indices.
    names = {"loss": "loss", "bce": "BCE", "kl": "KL", "bce_other_indices": "BCE with another image's indices"}
    table(f"{len(clusters)} clusters", tuple(names[k] for k in losses), [tuple(losses.values())])
    images.reconstructions(model, clusters, plots / "reconstructions_evaluated.png")
    click.echo(f"figure: {plots / 'reconstructions_evaluated.png'}")
    seen = baseline.trained_on(baseline.restore(folder / "baseline.parquet"), clusters)
    click.echo(f"{seen} of the {len(clusters)} evaluated ids were trained on, without labels")
    result: dict[str, Any] = {**losses, "trained_on": seen}
    if latent.probeable(clusters.labels):
        result["representations"] = latent.compare(model, clusters, seed)
        result |= result["representations"]["latent mean"]
        table(
            "what the representation knows of the class",
            ("representation", "5-NN accuracy", "linear accuracy", "k-means ARI", "k-means NMI"),
            [(name, *values.values()) for name, values in result["representations"].items()],
        )
    else:
        click.echo("fewer than two classes of two clusters each: nothing to probe the latent space with")
    return result


def _second(source: str | None, card: Any) -> Any:
    """The model of `--compare`.

    Raises:
        InputError: one of the two is no autoencoder, or there is no such run.
    """
    from particle_zoo import registry
    from particle_zoo.weights import load_run, locate

    if source is None:
        return None
    if card.task != "autoencoder":
        raise InputError(f"--compare is for autoencoders; {card.name} is a {card.task}; leave the option out")
    model, config = load_run(locate(source))
    task = registry.info(config["model"]).task
    if task != "autoencoder":
        raise InputError(f"--compare {source} holds a {config['model']}, a {task}; give the run of an autoencoder")
    return model


def _drawn(
    model: Any, config: dict[str, Any], clusters: Any, second: Any, folder: Path, plots: Path, options: dict[str, Any]
) -> dict[str, Any]:
    import keras

    from particle_zoo import data, registry
    from particle_zoo.evaluation import autoencoder, baseline

    where = {key: options[key] for key in ("data_dir", "manual_dir")}
    train = data.load(options["dataset"], "train", **where)
    keras.utils.set_random_seed(options["seed"])
    untrained = registry.build(config["model"], **config["config"])
    untrained.preprocessor = model.preprocessor
    result = autoencoder.report(model, clusters, train, untrained, plots, options["seed"])
    seen = baseline.trained_on(baseline.restore(folder / "baseline.parquet"), clusters)
    click.echo(f"{seen} of the {len(clusters)} evaluated ids were trained on, without labels")
    result["trained_on"] = seen
    if second is not None:
        names = (options["run"], options["compare"])
        result["compare"] = autoencoder.compare(model, second, names, clusters, ours=result["methods"][model.zoo_name])
    return result


def main() -> None:
    """Entry point."""
    run(evaluate)


if __name__ == "__main__":
    main()
