"""`python -m tuning.search NAME --trials 200`: search hyperparameters with Optuna, resumably."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from particle_zoo.cli import dataset_options, load_keras, output_options, run, table, write_json
from particle_zoo.errors import InputError


@click.command(context_settings={"show_default": True})
@click.argument("name")
@dataset_options
@click.option("--trials", type=click.IntRange(1), default=200, help="Trials in total; a rerun does what is missing.")
@click.option("--epochs", type=click.IntRange(1), default=30, help="Epochs a trial.")
@click.option("--limit", type=click.IntRange(1), help="Use the first N training clusters only.")
@click.option("--storage", help="Optuna storage URL.  [default: sqlite in the output folder]")
@click.option("--output", type=click.Path(path_type=Path), help="Folder.  [default: runs/tune-NAME]")
@output_options
def search(
    name: str,
    trials: int,
    epochs: int,
    storage: str | None,
    output: Path | None,
    json_path: Path | None,
    quiet: bool,
    **options: Any,
) -> None:
    """Minimise the validation loss of NAME over its search space; writes best.json for `particle_zoo.train --params`.

    Trial 0 is the hand-tuned baseline. The test split is never loaded.
    """
    import optuna

    load_keras()
    from particle_zoo import data, registry
    from particle_zoo.training.session import is_classifier, parse_classes, pick_data
    from tuning.spaces import BASELINES, SPACES

    card = registry.info(name)
    if name not in SPACES or not is_classifier(card):
        raise InputError(f"no search space for {name}; there is one for {', '.join(SPACES)}")
    choice = pick_data(options)
    dataset = choice.pop("dataset") or card.default_dataset
    classes = parse_classes(choice.pop("classes"), dataset, choice["manual_dir"])
    limit = choice.pop("limit")
    choice.pop("split")
    train = data.load(dataset, "train", classes=classes, limit=limit, **choice)
    validation = data.load(dataset, "validation", classes=classes, **choice)

    folder = output or Path("runs") / f"tune-{name}"
    folder.mkdir(parents=True, exist_ok=True)
    optuna.logging.set_verbosity(optuna.logging.WARNING if quiet else optuna.logging.INFO)
    space = SPACES[name]
    study = optuna.create_study(
        storage=storage or f"sqlite:///{(folder / 'study.db').resolve()}",
        # A changed space must not continue an old study: Optuna refuses to mix them.
        study_name=f"{name}-{space.__name__}-v1",
        load_if_exists=True,
        sampler=optuna.samplers.TPESampler(seed=options["seed"]),
        pruner=optuna.pruners.MedianPruner(),
    )
    if not study.trials and space.__name__ in BASELINES:
        study.enqueue_trial(BASELINES[space.__name__])
    counted = (optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.PRUNED)
    done = len(study.get_trials(states=counted))
    click.echo(f"{done} of {trials} trials done, {max(0, trials - done)} to go, in {folder}")
    if done < trials:
        study.optimize(
            _objective(card, space, train, validation, classes, epochs, options["seed"]),
            callbacks=[optuna.study.MaxTrialsCallback(trials, states=counted)],
            gc_after_trial=True,
        )
    if not study.get_trials(states=(optuna.trial.TrialState.COMPLETE,)):
        raise InputError("every trial was pruned; raise --trials or --epochs")
    write_json(folder / "best.json", study.best_params)
    result = {
        "trials": len(study.get_trials(states=counted)),
        "best_trial": study.best_trial.number,
        "best_value": study.best_value,
        "params": study.best_params,
    }
    if json_path:
        write_json(json_path, result)
    table(
        f"best of {result['trials']} trials: number {result['best_trial']}, validation loss {result['best_value']:.4f}",
        ("setting", "value"),
        list(study.best_params.items()),
    )
    click.echo(f"train it: python -m particle_zoo.train {name} --params {folder / 'best.json'}")


def _objective(
    card: Any, space: Any, train: Any, validation: Any, classes: tuple[str, ...], epochs: int, seed: int
) -> Any:
    import keras
    import optuna

    from particle_zoo import registry
    from particle_zoo.training.fit import fit
    from particle_zoo.training.session import build

    class Prune(keras.callbacks.Callback):
        """Report every epoch; stop the training instead of raising, so that other callbacks end properly."""

        def __init__(self, trial: Any) -> None:
            super().__init__()
            self.trial, self.pruned, self.best = trial, False, float("inf")

        def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
            value = float((logs or {})["val_loss"])
            self.best = min(self.best, value)
            self.trial.report(value, epoch)
            if self.trial.should_prune():
                self.pruned = self.model.stop_training = True

    def objective(trial: Any) -> float:
        keras.utils.clear_session(free_memory=True)
        space(trial)
        try:
            settings = registry.config_class(card.name).from_settings({**trial.params, "epochs": epochs})
        except InputError as error:
            trial.set_user_attr("impossible", str(error))
            raise optuna.TrialPruned(str(error)) from error
        model = build(card, settings.model_dump(), train, classes, seed=seed)
        trial.set_user_attr("parameters", model.count_params())
        watch = Prune(trial)
        fit(model, train, validation, classes=classes, seed=seed, callbacks=[watch])
        if watch.pruned:
            raise optuna.TrialPruned
        return watch.best

    return objective


def main() -> None:
    """Entry point of the console script."""
    run(search, stopped="stopped; a rerun resumes the search")


if __name__ == "__main__":
    main()
