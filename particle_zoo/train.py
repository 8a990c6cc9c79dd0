"""`python -m particle_zoo.train NAME`: train a model of the zoo into a run folder."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click

from particle_zoo.cli import (
    dataset_options,
    load_keras,
    output_options,
    parse_settings,
    precision_option,
    run,
    tell_averaged,
    write_json,
)


@click.command(context_settings={"show_default": True})
@click.argument("name")
@dataset_options
@click.option("--split", default="train", help="Split to train on; early stopping always watches validation.")
@click.option(
    "--epochs", type=click.IntRange(1), help="Passes over the training clusters.  [default: the model's recipe]"
)
@click.option("--batch-size", type=click.IntRange(1), help="Clusters a step.  [default: the model's recipe]")
@click.option("--limit", type=click.IntRange(1), help="Use the first N training clusters only.")
@click.option(
    "--params", type=click.Path(path_type=Path), help="JSON file of settings, as a search writes it (best.json)."
)
@click.option(
    "--set", "settings", multiple=True, metavar="KEY=VALUE", help="One setting of the model or recipe; repeatable."
)
@click.option(
    "--init",
    default="none",
    help="Start from the weights of this run folder (or imagenet, where a family has it). A classifier then takes the "
    "recipe of fine-tuning of its family (fine_tuning of its configuration) for what is not set.",
)
@click.option("--output", type=click.Path(path_type=Path), help="Run folder.  [default: runs/NAME-N]")
@click.option(
    "--resume",
    is_flag=True,
    help="Continue the run in --output (or the latest of this model); there must be one. Other --epochs than before "
    "stretch a learning-rate schedule to the new length.",
)
@click.option("--force", is_flag=True, help="Replace the run in --output.")
@click.option("--publish", is_flag=True, help="Put the result where particle_zoo.load(NAME) finds it.")
@precision_option
@output_options
def train(
    name: str,
    settings: tuple[str, ...],
    params: Path | None,
    output: Path | None,
    resume: bool,
    force: bool,
    publish: bool,
    quiet: bool,
    **options: Any,
) -> None:
    """Train the model NAME (see particle_zoo.list_models()) and write a run folder.

    The folder holds config.json, model.weights.h5 (best epoch), history.csv, metrics.json, card.json and plots/. A
    killed or interrupted run continues with --resume.
    """
    load_keras(options["precision"])
    from particle_zoo import registry
    from particle_zoo.training import pretrain, run_folder, session

    card = registry.info(name)
    overrides = parse_settings(settings, params)
    for key in ("epochs", "batch_size"):
        if options[key] is not None:
            overrides[key] = options[key]
    job = session.prepare(
        card,
        overrides,
        seed=options["seed"],
        **session.pick_data(options),
        precision=options["precision"],
        init=options["init"],
    )
    session.initialise(job, options["init"])
    folder = run_folder.choose(name, output, resume=resume, force=force)
    if not quiet:
        gentle = pretrain.fine_tuned(job.model.zoo_config, overrides, options["init"])
        if gentle:
            click.echo(
                f"fine-tuning recipe, since --init is given: {', '.join(f'{k} {v:g}' for k, v in gentle.items())}"
            )
        click.echo(
            f"{name}: {job.model.count_params():,} parameters, "
            f"{len(job.train):,} training and {len(job.validation):,} validation clusters of {job.dataset}, into {folder}"
        )
    run_folder.start(folder, job.config(), resume=resume)
    started = time.perf_counter()
    metrics = session.train(job, folder, quiet=quiet)
    metrics["seconds"] = round(time.perf_counter() - started, 1)
    write_json(folder / "metrics.json", metrics)
    if options["json_path"]:
        write_json(options["json_path"], metrics)
    if publish:
        from particle_zoo.weights import publish as publish_run

        click.echo(f"published to {publish_run(folder, name)}")
    if not quiet:
        click.echo("  ".join(f"{k} {v:.4g}" for k, v in metrics.items() if isinstance(v, float)))
        tell_averaged(sum(n for name, n in metrics.items() if name.endswith("_averaged_over_blocks")))
        for plot in sorted([*(folder / "plots").glob("*.png"), *(folder / "plots").glob("*.gif")]):
            click.echo(f"figure: {plot}")


def main() -> None:
    """Entry point of the console script."""
    run(train, stopped="stopped; a run that has begun continues with --resume")


if __name__ == "__main__":
    main()
