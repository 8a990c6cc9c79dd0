"""Networks of a study: trained in its folder, or brought along as runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np

from particle_zoo.cli import read_json, write_json
from particle_zoo.detectors.camera import PedestalModel
from particle_zoo.errors import InputError
from particle_zoo.evaluation.anomaly.methods import Source, of_network
from particle_zoo.evaluation.anomaly.study_settings import SPLIT_OF, Cell, Network, Settings

FINISHED = "metrics.json"

TESTED = 10
"""Dark frames that a training itself tests with."""

ALIKE = 1.5
"""Pedestals of one camera differ by less than this, in what the number of their frames explains."""


def trained(
    name: str, network: Network, settings: Settings, cell: Cell, folder: Path, *, data_dir: Path | None, quiet: bool
) -> Path:
    """Train a network on the pedestal run of a cell, or continue to.

    Args:
        name: of the network.
        network: what to train.
        settings: of the study.
        cell: noise and level.
        folder: of the run.
        data_dir: where prepared frames are kept.
        quiet: no progress.

    Returns:
        The run folder, finished.
    """
    if (folder / FINISHED).exists():
        return folder
    import keras

    from particle_zoo import registry
    from particle_zoo.training import anomaly, run_folder

    keras.utils.clear_session(free_memory=True)
    # No frames with light, and few to test with: that is what the study does.
    most = {"signal": 0, "test": TESTED}
    counts = {
        split: min(settings.count(part), most.get(part, settings.count(part))) for part, split in SPLIT_OF.items()
    }
    job = anomaly.prepare(
        registry.info(network.model),
        {**settings.network_settings, **network.settings},
        seed=settings.seed,
        dataset=f"camera_frames/simulated_{cell.noise}",
        data_dir=data_dir,
        data_seed=settings.seed,
        level=cell.level,
        shape=settings.benchmark(cell.noise, cell.level).camera_noise().shape,
        frames=counts,
    )
    if not quiet:
        click.echo(f"{name}: {job.describe()}, into {folder}")
    run_folder.start(folder, job.config(), resume=(folder / "config.json").exists())
    job.initialise()
    write_json(folder / FINISHED, job.train(folder, quiet))
    return folder


def source(
    name: str, run: Path, plain: PedestalModel, files: Sequence[Path], *, step: str, smoothed: bool = True
) -> Source:
    """A finished run as a source of residuals.

    Args:
        name: in tables.
        run: its folder.
        plain: pedestal of the frames that are searched.
        files: of that pedestal.
        step: what the name of the step begins with.
        smoothed: also search its residual with plain smoothing.

    Raises:
        InputError: a run of another camera.
    """
    from particle_zoo.anomaly import AnomalyDetector
    from particle_zoo.weights import PEDESTAL, WEIGHTS

    detector = AnomalyDetector.load(run)
    check_camera(run, detector.pedestal, plain)
    own = [run / part for part in ("config.json", WEIGHTS, PEDESTAL)]
    return of_network(name, detector, [*files, *own], step=step, smoothed=smoothed, leak=leak_of(run))


def leak_of(run: Path) -> dict[str, Any]:
    """`leak` and `leak_passed` of a run; None where its training has not measured them."""
    path = run / FINISHED
    metrics = read_json(path, what="metrics of the run") if path.exists() else {}
    return {key: metrics.get(key) for key in ("leak", "leak_passed")}


def check_camera(run: Path, pedestal: PedestalModel, plain: PedestalModel) -> None:
    """See that a run knows the camera that the frames are of.

    Raises:
        InputError: another size, or pixels with other levels.
    """
    try:
        plain.check(pedestal.shape)
    except InputError as error:
        raise InputError(f"--runs {run}: {error}") from error
    apart = pedestal.mean - plain.mean
    apart -= np.median(apart)
    explained = plain.noise * np.sqrt(1 / pedestal.n_frames + 1 / plain.n_frames)
    if float(np.median(np.abs(apart))) > ALIKE * 0.6745 * explained:
        raise InputError(
            f"--runs {run} has the pedestal of another camera; give runs of these frames (equal noise, level, shape and seed), "
            f"or leave --runs out to train"
        )
