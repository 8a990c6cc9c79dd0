"""`python -m tuning.search NAME --trials 200`: search hyperparameters with Optuna, resumably, by several processes."""

from __future__ import annotations

import contextlib
import pickle
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from particle_zoo.cli import (
    dataset_options,
    load_keras,
    output_options,
    precision_option,
    run,
    table,
    write_json,
)
from particle_zoo.errors import InputError

if TYPE_CHECKING:
    from tuning.objective import Objective

USUAL_EPOCHS = 30
"""Of a trial, as in the seed's search, where the recipe of a model does not have fewer."""


@click.command(context_settings={"show_default": True})
@click.argument("name")
@dataset_options
@click.option("--trials", type=click.IntRange(1), default=200, help="Trials in total; a rerun does what is missing.")
@click.option(
    "--epochs",
    type=click.IntRange(1),
    help="Epochs a trial.  [default: 30; the model's recipe where it has fewer, or counts steps]",
)
@click.option("--limit", type=click.IntRange(1), help="Use the first N training examples only.")
@click.option(
    "--metric",
    "metrics",
    multiple=True,
    help="What is searched for: a number that the training logs or that the family measures, such as val_loss or accuracy, "
    "or parameters, or latency; repeatable for several objectives.  [default: val_loss]",
)
@click.option("--folds", type=click.IntRange(0), default=0, help="Cross-validation by id; 0 is without.")
@click.option("--space", "space_name", help="Search space.  [default: that of the model's family]")
@click.option(
    "--sampler",
    type=click.Choice(["tpe", "gp", "random", "cmaes", "grid"]),
    default="tpe",
    help="How parameters are chosen. gp and cmaes need the extras gp and tune.",
)
@click.option(
    "--grid",
    multiple=True,
    metavar="NAME=VALUE,VALUE",
    help="With --sampler grid: values of one parameter; repeatable. The others stay as in the baseline.",
)
@click.option(
    "--pruner",
    type=click.Choice(["median", "hyperband", "none"]),
    help="What stops bad trials early.  [default: median; none with several objectives]",
)
@click.option(
    "--workers", type=click.IntRange(1), default=1, help="Processes on this machine; they share its cores and GPUs."
)
@click.option("--isolate", is_flag=True, help="Run every trial in a process of its own, which frees all of its memory.")
@click.option(
    "--storage",
    metavar="URL",
    help="sqlite:///FILE, postgresql://USER:PASSWORD@HOST/DATABASE or journal:///FILE. Other machines join with the same "
    "command.  [default: journal.log in the output folder]",
)
@click.option("--study", "study_name", help="Name of the study in the storage.  [default: NAME]")
@click.option(
    "--grace",
    type=click.IntRange(15),
    default=60,
    help="Seconds without a sign of life until a trial of another machine is taken over.",
)
@click.option("--output", type=click.Path(path_type=Path), help="Folder.  [default: runs/tune-NAME]")
@precision_option
@output_options
def search(
    name: str,
    trials: int,
    epochs: int | None,
    limit: int | None,
    metrics: tuple[str, ...],
    folds: int,
    space_name: str | None,
    sampler: str,
    grid: tuple[str, ...],
    pruner: str | None,
    workers: int,
    isolate: bool,
    storage: str | None,
    study_name: str | None,
    grace: int,
    output: Path | None,
    json_path: Path | None,
    quiet: bool,
    **options: Any,
) -> None:
    """Search the hyperparameters of NAME; writes best.json for `particle_zoo.train --params`, trials.csv and report.html.

    Trial 0 is the hand-tuned baseline. The test split is never loaded. Stop it with Ctrl-C, kill it, or start it again on a
    second machine that sees the same folder or database: the same command goes on.
    """
    load_keras(options["precision"])
    from optuna.exceptions import StorageInternalError

    from particle_zoo import registry
    from tuning import report
    from tuning import workers as crew
    from tuning.grid import combinations, parse_grid
    from tuning.isolate import Isolated
    from tuning.objective import Objective
    from tuning.spaces import SPACES, baseline_of, space_of, version
    from tuning.storage import close
    from tuning.study import Plan
    from tuning.worker import count

    if space_name is not None and space_name not in SPACES:
        raise InputError(f"--space takes one of {', '.join(SPACES)}; received {space_name!r}")
    space = SPACES[space_name] if space_name else space_of(name)
    baseline = baseline_of(name, space)
    if grid and sampler != "grid":
        raise InputError(f"--grid needs --sampler grid; received --sampler {sampler}")
    values = parse_grid(grid, space) if sampler == "grid" else {}
    points = combinations(space, baseline, values) if values else []
    recipe = registry.config_class(name)().epochs
    epochs = epochs or (min(USUAL_EPOCHS, recipe) if recipe else None)
    objective = Objective(name, space, limit=limit, epochs=epochs, metric=metrics, folds=folds, **options)
    study_name = study_name or name
    folder = output or Path("runs") / f"tune-{study_name}"
    plan = Plan(
        study_name,
        name,
        folder,
        storage=storage,
        sampler=sampler,
        pruner=pruner,
        seed=options["seed"],
        metrics=objective.metrics,
        directions=objective.directions,
        space=version(space),
        conditions={**objective.conditions, **({"grid": values} if values else {})},
        baseline=baseline,
        grid=points,
        steps=objective.steps,
        grace=float(grace),
    )
    study = plan.open()
    if points:
        trials = min(trials, sum(count(study)))
    done = count(study)[0]
    so_far = f"{done} of {trials} trials done" if done <= trials else f"{done} trials done, more than {trials}"
    click.echo(f"{so_far}, {max(0, trials - done)} to go, in {plan.place}")
    if done < trials and (workers > 1 or isolate):
        objective = _prepared(objective)
    prepare = None if isolate else partial(crew.load_quietly, options["precision"])
    job = crew.Job(plan, Isolated(objective) if isolate else objective, trials, prepare=prepare, quiet=quiet)
    tell = partial(report.write, study, folder, model=name, options=_for_training(options), storage=storage)
    try:
        # Also where nothing is to be done: what dead processes left running is taken over.
        crew.run(job, workers=workers if done < trials else 1)
    except KeyboardInterrupt:
        # Of what is finished, unless it is the database that was waited for.
        with contextlib.suppress(StorageInternalError):
            if count(study)[0]:
                click.echo(f"report of what is finished: {tell().page}")
        raise
    written = tell()
    found = report.summary(study)
    close(study)
    if json_path:
        write_json(json_path, found)
    if written.best is None:
        raise InputError(
            f"none of the {found['trials']} trials finished; see {written.page}, and raise --trials or --epochs"
        )
    best = found["best"]
    table(
        f"best of {found['trials']} trials: number {best['number']}",
        ("setting", "value"),
        [(key, f"{value:.4g}" if isinstance(value, float) else value) for key, value in best["params"].items()],
    )
    click.echo(found["verdict"])
    click.echo(f"report: {written.page}, all trials: {written.trials}")
    click.echo(f"train it: {written.train}")
    click.echo(f"look at it in the browser: {written.dashboard}")


def _prepared(objective: Objective) -> Objective:
    """The same objective once its data can be read: several processes would prepare them against each other."""
    bare: Objective = pickle.loads(pickle.dumps(objective))
    next(iter(objective.data.parts(objective.folds)))
    return bare


def _for_training(options: dict[str, Any]) -> list[str]:
    """Options of the training command that make it train on the same data."""
    usual = {"seed": 0, "precision": "float32"}
    given = {key: value for key, value in options.items() if value is not None and value != usual.get(key)}
    return [part for key, value in given.items() for part in (f"--{key.replace('_', '-')}", str(value))]


def main() -> None:
    """Entry point of the console script."""
    run(search, stopped="stopped; a rerun resumes the search")


if __name__ == "__main__":
    main()
