"""Searches for light in camera frames compared: what is done kept in a folder, what is left done when it is started again."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np

from particle_zoo.anomaly import CALIBRATION
from particle_zoo.cli import progress, read_json, write_json
from particle_zoo.detectors.camera import PedestalModel
from particle_zoo.errors import InputError
from particle_zoo.evaluation.anomaly import redpix_study, study_networks, study_passes, study_report, study_results
from particle_zoo.evaluation.anomaly.methods import Source, of_common_mode, of_pedestal
from particle_zoo.evaluation.anomaly.redpix_study import Lists
from particle_zoo.evaluation.anomaly.study_passes import CellFrames
from particle_zoo.evaluation.anomaly.study_settings import Cell, Settings
from particle_zoo.simulation.optical_tpc import BenchmarkSet

SETTINGS = "settings.json"

Numbers = dict[str, Any]


def compare(
    settings: Settings,
    cells: Sequence[Cell],
    folder: Path | None = None,
    *,
    runs: Sequence[Path] = (),
    networks: bool = True,
    data_dir: Path | None = None,
    force: bool = False,
    quiet: bool = False,
) -> Numbers:
    """Run what is left of a study and print its tables.

    Args:
        settings: of the study.
        cells: noises and levels.
        folder: where everything is kept; runs/anomaly without it.
        runs: trained runs that take the place of the networks of the settings.
        networks: whether networks take part.
        data_dir: where prepared frames for trainings are kept.
        force: start over in a folder that holds a study.
        quiet: print results only.

    Returns:
        JSON-ready numbers: `settings`, and by cell those of `study_results.collect`.

    Raises:
        InputError: settings that cannot be, other ones than the folder was started with, or runs of another camera.
    """
    if runs and not networks:
        raise InputError("--runs are networks, and --classical leaves them out; give one of the two")
    if runs and len(cells) > 1:
        raise InputError(f"--runs are of one camera, {len(cells)} noises and levels are asked for; give one of each")
    study_passes.rates(settings)
    names = [run.name for run in runs]
    if len(set(names)) < len(names):
        raise InputError(f"runs are told apart by the names of their folders; received {', '.join(names)}")
    for run in runs:
        # Before the minutes or hours of methods without a network.
        if not (run / CALIBRATION).is_file():
            raise InputError(f"--runs {run} is no finished run of an anomaly model; give its folder")
    folder = folder or Path("runs") / "anomaly"
    begin(folder, settings, force=force)
    result: Numbers = {"settings": settings.model_dump(mode="json"), "cells": {}}
    for cell in cells:
        found = _cell(settings, cell, folder / cell.name, runs, networks, data_dir, quiet)
        study_report.show(found, settings, cell, folder / cell.name)
        result["cells"][cell.name] = found
    write_json(folder / "results.json", result)
    return result


def begin(folder: Path, settings: Settings, *, force: bool) -> None:
    """Write settings.json, or see that a study that goes on was started with the same; `force` removes an earlier study.

    Raises:
        InputError: other settings, or a file in the way.
    """
    if folder.exists() and not folder.is_dir():
        raise InputError(f"--output {folder} is a file; give a folder")
    path, now = folder / SETTINGS, settings.model_dump(mode="json")
    if path.exists() and force:
        for own in folder.iterdir():
            # Folders of cells hold what a step has left; anything else here is not ours.
            if own.is_dir() and (own / MARK).exists():
                shutil.rmtree(own)
        for name in (SETTINGS, "results.json"):
            (folder / name).unlink(missing_ok=True)
    if path.exists():
        before = read_json(path, what="settings of the study")
        for key in sorted({*before, *now}):
            if before.get(key) != now.get(key):
                raise InputError(
                    f"{folder} was started with {key} {before.get(key)!r}, now it is {now.get(key)!r}; repeat the first "
                    f"command, choose another --output, or start over with --force"
                )
    write_json(path, now)


MARK = "pedestal.npz"
"""First file of the folder of a cell."""

WITHOUT_COMMON = "pedestal_common.npz"


def _cell(
    settings: Settings,
    cell: Cell,
    folder: Path,
    runs: Sequence[Path],
    networks: bool,
    data_dir: Path | None,
    quiet: bool,
) -> Numbers:
    def tell(text: str) -> None:
        if not quiet:
            click.echo(f"{cell.name}: {text}")

    benchmark = settings.benchmark(cell.noise, cell.level)
    plain, common = _pedestals(settings, benchmark, folder, tell)
    sigma = benchmark.camera_noise().sigma
    masks, lists = _redpix(settings, benchmark, plain, sigma, folder, tell, quiet)
    frames = CellFrames(settings, benchmark, sigma, lists, folder)
    found: Numbers = {}
    for source in _sources(settings, cell, folder, plain, common, runs, networks, data_dir, quiet):
        twice = sorted(found.keys() & {method.name for method in source.methods})
        if twice:
            raise InputError(f"there is a search {twice[0]!r} already; rename the folder of the run")
        path = folder / "methods" / f"{plain_name(source.name)}.json"
        kept = read_json(path, what="results of the study") if path.exists() else {}
        if kept.get("digest") != source.digest:
            tell(f"{', '.join(method.name for method in source.methods)}")
            write_json(path, {"digest": source.digest, "methods": study_passes.measure(source, frames, quiet=quiet)})
            # Numbers that were read are those of every later start.
            kept = read_json(path, what="results of the study")
        found |= {name: {**one, **source.leak} for name, one in kept["methods"].items()}
    return study_results.collect(found, masks, settings, cell)


def _pedestals(
    settings: Settings, benchmark: BenchmarkSet, folder: Path, tell: Callable[[str], None]
) -> tuple[PedestalModel, PedestalModel]:
    """Of the training frames as they are, and without their common mode."""
    found = []
    for name, common in ((MARK, False), (WITHOUT_COMMON, True)):
        path = folder / name
        if not path.exists():
            tell(f"pedestal of {settings.train} frames" + (", common mode taken out" if common else ""))
            frames = benchmark.split("pedestal_train", settings.train)
            PedestalModel.fit(frames, common_mode=common).save(path)
        found.append(PedestalModel.load(path))
    return found[0], found[1]


def _redpix(
    settings: Settings,
    benchmark: BenchmarkSet,
    plain: PedestalModel,
    sigma: np.ndarray,
    folder: Path,
    tell: Callable[[str], None],
    quiet: bool,
) -> tuple[Numbers, Lists]:
    """Light and purity of the truth masks and pixel lists, and the lists of each frame."""
    path, listed = folder / "redpix.json", folder / "redpix.npz"
    if not (path.exists() and listed.exists()):
        tell("pixel lists of the emulated reconstruction")
        bar = progress(benchmark.split("signal", settings.signal), "frames with light", quiet=quiet)
        masks, lists = redpix_study.measure(bar, plain, sigma)
        lists.save(listed)
        write_json(path, masks)
    return read_json(path, what="pixel lists of the study"), Lists.load(listed)


def _sources(
    settings: Settings,
    cell: Cell,
    folder: Path,
    plain: PedestalModel,
    common: PedestalModel,
    runs: Sequence[Path],
    networks: bool,
    data_dir: Path | None,
    quiet: bool,
) -> Iterator[Source]:
    """Sources of residuals, one after the other: a network is trained when its turn comes."""
    # Of all: the pixel lists are made with this pedestal.
    files = [folder / MARK]
    yield of_pedestal(plain, files)
    yield of_common_mode(common, [*files, folder / WITHOUT_COMMON])
    if runs:
        for run in runs:
            yield study_networks.source(run.name, run, plain, files, step="run")
        return
    for name, network in settings.networks.items() if networks else ():
        own = folder / "networks" / plain_name(name)
        run = study_networks.trained(name, network, settings, cell, own, data_dir=data_dir, quiet=quiet)
        yield study_networks.source(name, run, plain, files, step="network", smoothed=network.smoothed)


def plain_name(text: str) -> str:
    """A text as part of a file name."""
    return "_".join("".join(c if c.isalnum() else " " for c in text).split())
