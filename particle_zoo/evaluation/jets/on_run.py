"""A trained autoencoder of jets on a split: errors beside rivals that need no network, residuals, correlations, figures."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
import numpy as np
import pandas as pd

from particle_zoo.cli import table
from particle_zoo.data import jets as jet_data
from particle_zoo.evaluation.anomaly.bootstrap import interval, ratio
from particle_zoo.evaluation.jets import scores
from particle_zoo.evaluation.jets.rivals import rivals
from particle_zoo.jets import Jets
from particle_zoo.plots import jets as plots

MASS = "m (computed)"
"""Name of the residual of the mass that follows from pt, eta and E."""

MATRIX = 8
"""Correlations of so many variables are printed as a table; of more, the strongest pairs are."""

PAIRS = 10

ROUNDING = 1e-12

Numbers = dict[str, Any]


def on_run(source: str | Path, folder: Path, options: dict[str, Any]) -> Numbers:
    """Reconstruct jets with a run folder or a published model, print tables and draw four figures.

    Args:
        source: the run, as it was named.
        folder: of it.
        options: those of `evaluate`; `dataset`, `data_dir`, `manual_dir`, `split`, `limit` and `output` count, all may lack.

    Returns:
        JSON-ready numbers: `n`, `mse` (normalised), `rivals` (the same of each), `intervals` (95 %, over jets,
        by method), `residuals` (by method and variable, see
        `scores.summary`), `correlations` (of `residuals`, of the variables `before` and `after`), `below_momentum` (share
        of found jets whose E is below their momentum, where there is an E) and, where it can be known, `trained_on`.

    Raises:
        InputError: a run that cannot be loaded, or jets that cannot be used.
    """
    from particle_zoo.weights import load_run, results_dir

    model, config = load_run(folder)
    dataset, split = options.get("dataset") or config["dataset"], options.get("split") or "test"
    where = {key: options.get(key) for key in ("data_dir", "manual_dir")}
    wanted = {**where, "want": model.preprocessor.columns}
    jets = jet_data.load_jets(dataset, split, limit=options.get("limit"), **wanted)
    train = jet_data.load_jets(dataset, "train", limit=config.get("limit"), **wanted)
    true, drawn = scores.normalised(model, jets)
    outputs = {model.zoo_name: drawn, **rivals(train, jets, model.preprocessor, model.zoo_config.latent)}
    errors = {name: scores.mean_square(true, output) for name, output in outputs.items()}
    single = {name: np.square(output - true).mean(axis=1) for name, output in outputs.items()}
    spread = {name: asdict(interval(ratio(one, np.ones(len(one))), len(one))) for name, one in single.items()}
    found = {name: scores.found_jets(model.preprocessor, output, jets) for name, output in outputs.items()}
    own = found[model.zoo_name]
    residuals = scores.residuals(jets, own)
    limits = scores.summary(residuals)
    pairs = scores.correlations(residuals, limits)
    result: Numbers = {
        "model": model.zoo_name,
        "dataset": dataset,
        "split": split,
        "variables": model.preprocessor.variables,
        "normalisation": model.preprocessor.normalisation,
        "n": len(jets),
        "rival_training_jets": len(train),
        "mse": errors.pop(model.zoo_name),
        "rivals": errors,
        "intervals": {name: [one["low"], one["high"]] for name, one in spread.items()},
        "residuals": {name: _plain(_summary(jets, other)) for name, other in found.items()},
        "correlations": {
            "residuals": _plain(pairs),
            "before": _plain(jets.to_frame().corr()),
            "after": _plain(own.to_frame().corr()),
        },
    }
    if "E" in own.columns:
        result["below_momentum"] = _below_momentum(own)
    _show(result, pairs)
    fingerprint = jet_data.fingerprint(dataset, **where)
    if split in ("validation", "test") and fingerprint == config.get("fingerprint"):
        result["trained_on"] = 0
        click.echo(f"0 of the {len(jets):,} evaluated jets were trained on: no event is in two splits")
    target = Path(options.get("output") or results_dir(source, folder) / "plots")
    title = f"{model.zoo_name}, {len(jets):,} jets of {dataset} ({split})"
    for path in _draw(jets, own, residuals, limits, pairs, np.abs(drawn - true), target, title):
        click.echo(f"figure: {path}")
    return result


def _summary(true: Jets, found: Jets) -> pd.DataFrame:
    """Residuals of all variables, and of the mass where E is one of them."""
    residuals = scores.residuals(true, found)
    of_mass = scores.mass_residuals(true, found)
    return scores.summary(residuals if of_mass is None else residuals.assign(**{MASS: of_mass}))


def _below_momentum(jets: Jets) -> float:
    return float(np.mean(jets.column("E") < jets.column("pt") * np.cosh(jets.column("eta"))))


def _plain(rows: pd.DataFrame) -> Numbers:
    """Dicts by row and column; None in the place of NaN, which JSON does not have."""
    return {
        str(row): {str(column): float(value) if np.isfinite(value) else None for column, value in values.items()}
        for row, values in rows.to_dict(orient="index").items()
    }


def _show(result: Numbers, pairs: pd.DataFrame) -> None:
    name = result["model"]
    kind = f"{result['variables']}, {result['normalisation']}"
    table(
        f"{result['n']:,} jets of {result['dataset']} ({result['split']}): mean square error of {kind}",
        ("method", "mse"),
        [(method, f"{value:.3g}") for method, value in {name: result["mse"], **result["rivals"]}.items()],
    )
    click.echo(f"the others were fitted on {result['rival_training_jets']:,} training jets of {result['dataset']}")
    table(
        "residuals, (found - true) / true unless the name says difference",
        ("method", "variable", "median", "68 % within +-", "beyond limits", "limits"),
        [
            (method, variable, *_row(values))
            for method, rows in result["residuals"].items()
            for variable, values in rows.items()
        ],
    )
    if "below_momentum" in result:
        click.echo(
            f"{name}: {result['below_momentum']:.2%} of the found jets have an E below their momentum, so no mass; "
            "it counts as negative"
        )
    title = f"{name}: Pearson correlation of residuals, clipped to the limits above"
    if len(pairs) <= MATRIX:
        rows = [(row, *map(_number, values)) for row, values in zip(pairs.index, pairs.to_numpy(), strict=True)]
        table(title, ("residual", *pairs.columns), rows)
    else:
        table(f"{title}; strongest {PAIRS} pairs", ("residual", "and", "correlation"), _strongest(pairs))


def _row(values: Numbers) -> tuple[str, ...]:
    if values["median"] is None:
        return ("-",) * 4
    # What normalising and back leaves of a variable that was kept.
    median, half, low, high = (
        0.0 if abs(values[key]) < ROUNDING else values[key] for key in ("median", "half_width", "low", "high")
    )
    return f"{median:.2g}", f"{half:.2g}", f"{values['clipped']:.1%}", f"{low:.2g} to {high:.2g}"


def _number(value: float) -> str:
    return f"{value:.3f}" if np.isfinite(value) else "-"


def _strongest(pairs: pd.DataFrame) -> list[tuple[str, str, str]]:
    below = np.tril_indices(len(pairs), -1)
    values = pairs.to_numpy()[below]
    order = np.argsort(-np.abs(np.nan_to_num(values)), kind="stable")[:PAIRS]
    return [(pairs.index[below[0][i]], pairs.columns[below[1][i]], _number(values[i])) for i in order]


def _draw(
    jets: Jets,
    found: Jets,
    residuals: pd.DataFrame,
    limits: pd.DataFrame,
    pairs: pd.DataFrame,
    errors: np.ndarray,
    folder: Path,
    title: str,
) -> list[Path]:
    """Draw the figures; of many variables, the triangle shows those with the largest errors in normalised values."""
    names = ("distributions", "residuals", "triangle", "correlations")
    paths = [folder / f"{name}.png" for name in names]
    plots.distributions(jets, found, paths[0], title=title)
    plots.residual_histograms(residuals, limits, paths[1], title=title)
    widest = np.sort(np.argsort(-np.percentile(errors, 68, axis=0), kind="stable")[: plots.MOST])
    chosen = [residuals.columns[i] for i in widest]
    some = ""
    if len(chosen) < len(residuals.columns):
        some = (
            f"; the {len(chosen)} of {len(residuals.columns)} variables with the widest residuals in normalised values"
        )
    plots.triangle(residuals[chosen], limits.loc[chosen], pairs.loc[chosen, chosen], paths[2], title=title + some)
    correlation = jets.to_frame().corr(), found.to_frame().corr()
    plots.correlations(*correlation, paths[3], title=f"{title}: correlations of the variables")
    return paths
