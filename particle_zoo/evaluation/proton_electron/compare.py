"""What `python -m particle_zoo.benchmark proton_electron` does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from particle_zoo import data
from particle_zoo.errors import InputError
from particle_zoo.evaluation.proton_electron import networks, report, results, sample, study
from particle_zoo.evaluation.proton_electron.settings import Settings


def compare(
    settings: Settings,
    folder: Path | None = None,
    *,
    pretrained: Path | None = None,
    ablations: bool = False,
    force: bool = False,
    data_dir: Path | None = None,
    quiet: bool = False,
) -> dict[str, Any]:
    """Run what is left of a study, print its tables and write results.json and figures, or ablations.json.

    Args:
        settings: of the study.
        folder: where everything is kept; runs/proton_electron-SPECTRUM-FORM without it.
        pretrained: run of the settings' autoencoder that takes the place of its pretraining.
        ablations: compare variants of the pretraining, and only them.
        force: start over.
        data_dir: where prepared data sets are kept.
        quiet: print results only.

    Returns:
        The numbers that are printed, see `results.collect`.

    Raises:
        InputError: settings that cannot be, or other ones than the folder was started with.
    """
    if pretrained and ablations:
        raise InputError("--ablations pretrains every variant alike; leave --pretrained out")
    folder = folder or Path("runs") / f"proton_electron-{settings.spectrum}-{settings.form}"
    trials = study.ablation_trials(settings) if ablations else study.main_trials(settings)
    study.check_models(settings, trials)
    if pretrained:
        settings = settings.model_copy(update={"pretrained": networks.check_start(settings, pretrained)})
    if not force:
        study.check_folder(folder, settings, data.fingerprint(settings.dataset, data_dir=data_dir))
    # Settings that turn out to be impossible must not be those that the folder was started with.
    clusters = sample.load(settings, data_dir)
    study.begin(folder, settings, clusters.fingerprint, force=force)
    if not quiet:
        click.echo(f"{len(trials)} trainings, kept in {folder}; a stopped study goes on when it is started again")
    done = study.run(settings, trials, clusters, folder, pretrained=pretrained, data_dir=data_dir, quiet=quiet)
    if ablations:
        result = results.collect_ablations(settings, clusters, done)
        report.show_ablations(result, folder)
    else:
        result = results.collect(settings, clusters, done)
        report.show(result, folder)
    return result


def fractions(percent: str | None) -> tuple[float, ...] | None:
    """Shares of the labels from comma-separated percent; None stays None.

    Raises:
        InputError: no number, or none above 0 and up to 100.
    """
    if percent is None:
        return None
    try:
        values = tuple(float(part) / 100 for part in percent.split(","))
    except ValueError:
        values = ()
    if not values or not all(0 < value <= 1 for value in values):
        raise InputError(f"--fractions takes percent of the labels, such as 1,10,100; received {percent!r}")
    return values
