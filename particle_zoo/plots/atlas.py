"""The map of a latent space as one HTML page to walk through; it needs no network and nothing beside it."""

from __future__ import annotations

import base64
import json
import zlib
from html import escape
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from particle_zoo.cli import replacing
from particle_zoo.clusters import MASK_UNIT, Clusters
from particle_zoo.errors import InputError
from particle_zoo.pipelines.rasterise import bounding_boxes

SIDE = 64
"""Clusters up to so many pixels long are drawn pixel by pixel; of larger ones, squares of pixels are added up."""

MANY = 5000
"""Clusters beyond which dots are small."""

PALETTE = (
    "#4e79a7", "#f28e2b", "#59a14f", "#e15759", "#b07aa1", "#76b7b2",
    "#edc948", "#ff9da7", "#9c755f", "#86bcb6", "#d37295", "#499894",
)  # fmt: skip
"""Of text columns; further values are grey."""

CYCLE = {"direction": 180.0, "azimuth": 360.0}
"""Columns that begin again, and where (degrees)."""

GROUPED = ("kmeans", "dbscan")
"""Numbers of groups, which are names and no quantities."""

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<title>{title}</title>
<style>
{style}
</style>
</head>
<body>
<header>
<h1>{title}</h1>
<p>{about}</p>
<form id="controls">
<label id="which" hidden>map <select id="layout"></select></label>
<label>colour by <select id="colour"></select></label>
<label><input type="checkbox" id="log"> logarithmic</label>
</form>
</header>
<div id="legend"></div>
<main>
<div id="plane">{figure}<div id="ring" hidden></div></div>
<p id="hint">Hover: see a cluster. Click: keep it. Drag: lasso. A name above the map selects all of it.</p>
</main>
<aside>
<section id="cluster">
<h2 id="name">no cluster yet</h2>
<canvas id="picture" width="256" height="256"></canvas>
<p id="energy">Move over a dot of the map.</p>
<div id="features"></div>
</section>
<section id="selection">
<h2><span id="count">0</span> selected</h2>
<div id="buttons">
<button type="button" id="copy" disabled>Copy ids</button>
<button type="button" id="save" disabled>Save CSV</button>
<button type="button" id="clear" disabled>Clear</button>
</div>
<div id="gallery"></div>
<textarea id="ids" readonly rows="8" aria-label="ids of the selected clusters" wrap="off"></textarea>
</section>
</aside>
<script type="application/json" id="about">{contents}</script>
<script type="text/plain" id="values">{values}</script>
<script>
{script}
</script>
</body>
</html>
"""

POLICY = (
    "default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline'; img-src data: blob:; "
    "worker-src blob:"
)
"""What the browser is told to refuse: everything from elsewhere. WebGL programs are compiled from text (unsafe-eval)."""


class Pictures(NamedTuple):
    """Images of n clusters, row by row, one after the other.

    Args:
        pixels: uint8; 0 is no hit, 1 to 255 the square root of the energy over that of the brightest pixel.
        height, width: (n,) px.
        shrunk: (n,) side of the square of the detector that is one pixel here.
    """

    pixels: np.ndarray
    height: np.ndarray
    width: np.ndarray
    shrunk: np.ndarray


def atlas(rows: pd.DataFrame, clusters: Clusters, path: Path, *, title: str) -> None:
    """Write the page: hover shows a cluster, its energy and features; any column colours; lasso and box list ids.

    Args:
        rows: table of `particle_zoo.evaluation.embedding.embed`, also with `umap_x_before` and `umap_y_before`.
        clusters: the clusters of its rows.
        path: HTML file to write.
        title: of the page.

    Raises:
        InputError: rows of other clusters, or without a map.
    """
    import matplotlib as mpl
    import plotly.io

    if len(rows) != len(clusters) or (rows["id"].to_numpy(str) != clusters.ids).any():
        raise InputError(
            f"the {len(rows)} rows of the map are not those of the {len(clusters)} clusters; embed these clusters first"
        )
    missing = [name for name in ("umap_x", "umap_y") if name not in rows]
    if missing:
        raise InputError(f"the rows have no {missing[0]}; give the table of particle_zoo.evaluation.embedding.embed")
    store = _Store()
    drawn = pictures(clusters)
    contents = {
        "ids": clusters.ids.tolist(),
        "columns": [_column(name, group, values, store) for name, group, values in _columns(rows, clusters)],
        "maps": [{"name": name, "x": x, "y": y} for name, x, y in _maps(rows)],
        "pictures": {name: store.add(values) for name, values in drawn._asdict().items()},
        "unit": "ADU" if clusters.unit == MASK_UNIT else clusters.unit,
        "mask": clusters.unit == MASK_UNIT,
        "palette": PALETTE,
        "scales": {name: _scale(mpl.colormaps[name]) for name in ("viridis", "twilight", "inferno")},
    }
    figure = plotly.io.to_html(
        _figure(rows),
        full_html=False,
        include_plotlyjs=True,
        div_id="map",
        # Plotly 7 offers to upload a figure.
        config={"displaylogo": False, "scrollZoom": True, "showSendToCloud": False, "plotlyServerURL": ""},
    )
    latent = sum(map(_is_latent, rows.columns))
    page = PAGE.format(
        policy=escape(POLICY),
        title=escape(title),
        about=f"{len(rows):,} clusters; UMAP of {latent} latent values",
        style=_asset("atlas.css"),
        figure=figure,
        contents=_inert(contents),
        values=store.text(),
        script=_asset("atlas.js"),
    )
    with replacing(path) as temporary:
        temporary.write_text(page, encoding="utf-8")


def pictures(clusters: Clusters) -> Pictures:
    """The box of every cluster, at most `SIDE` long; brightness is relative to the brightest pixel of each. At least one cluster."""
    top, left, height, width = bounding_boxes(clusters)
    shrunk = -(-np.maximum(height, width) // SIDE)
    height, width = -(-height // shrunk), -(-width // shrunk)
    end = np.cumsum(height * width)
    start = end - height * width
    of = clusters.hit_cluster
    row, col = (clusters.column(name).astype(np.int64) for name in ("row", "col"))
    place = start[of] + (row - top[of]) // shrunk[of] * width[of] + (col - left[of]) // shrunk[of]
    energy, hit = np.zeros(end[-1], np.float32), np.zeros(end[-1], np.bool_)
    np.add.at(energy, place, np.nan_to_num(clusters.column("energy")))
    hit[place] = True
    brightest = np.maximum.reduceat(energy, start)
    scaled = energy / np.repeat(np.where(brightest > 0, brightest, 1), height * width)
    pixels = np.where(hit, 1 + np.rint(254 * np.sqrt(scaled.clip(0, 1))), 0).astype(np.uint8)
    return Pictures(pixels, height.astype(np.uint8), width.astype(np.uint8), shrunk.astype(np.float32))


class _Store:
    """Arrays one after the other in one buffer, which travels compressed."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.size = 0

    def add(self, values: np.ndarray) -> dict[str, Any]:
        """Where the values will lie. A typed array of JavaScript begins at a multiple of its item's size."""
        little = np.ascontiguousarray(values).astype(values.dtype.newbyteorder("<"))
        found = {"type": values.dtype.name, "start": self.size, "length": len(values)}
        data = little.tobytes()
        data += bytes(-len(data) % 8)
        self.parts.append(data)
        self.size += len(data)
        return found

    def text(self) -> str:
        return base64.b64encode(zlib.compress(b"".join(self.parts))).decode()


def _columns(rows: pd.DataFrame, clusters: Clusters) -> list[tuple[str, str, pd.Series]]:
    """Name, group and values of what is shown: all of the rows, then what else the clusters know of themselves."""
    found = []
    for name in rows.columns.drop("id"):
        if _is_latent(name):
            group = "latent space"
        elif name.startswith(("umap_", *GROUPED)) or name == "label":
            group = "map"
        else:
            group = "features"
        found.append((name, group, rows[name]))
    table = clusters.table
    found += [(str(name), "table", table[name]) for name in table.columns if name not in rows.columns]
    shown = [(name, group, values.replace([np.inf, -np.inf], np.nan)) for name, group, values in found]
    return [(name, group, values) for name, group, values in shown if values.notna().any()]


def _column(name: str, group: str, values: pd.Series, store: _Store) -> dict[str, Any]:
    about: dict[str, Any] = {"name": name, "group": group}
    numeric = pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)
    if numeric and name not in GROUPED:
        return about | {"cycle": CYCLE.get(name), "values": store.add(_number(values))}
    text = values.map(_word)
    if name == "dbscan":
        text = text.replace("-1", "noise")
    if name in GROUPED:
        names = sorted(text.unique(), key=lambda word: (not word.isdigit(), int(word) if word.isdigit() else 0))
    else:
        names = text.value_counts().index.tolist()
    codes = pd.Categorical(text, categories=names).codes.astype(np.int32)
    return about | {"names": names, "values": store.add(codes)}


def _word(value: Any) -> str:
    return "" if pd.api.types.is_scalar(value) and pd.isna(value) else str(value)


def _number(values: pd.Series) -> np.ndarray:
    """float32, or float64 where that would change whole numbers, such as those of events, or run over."""
    numbers = values.to_numpy(np.float64, na_value=np.nan)
    known = numbers[~np.isnan(numbers)]
    with np.errstate(over="ignore"):
        single = known.astype(np.float32)
    whole = (known == np.trunc(known)).all()
    exact = (single == known).all() if whole else np.isfinite(single).all()
    return numbers.astype(np.float32) if exact else numbers


def _maps(rows: pd.DataFrame) -> list[tuple[str, str, str]]:
    now = ("after" if "umap_x_before" in rows else "", "umap_x", "umap_y")
    return [now] + ([("before", "umap_x_before", "umap_y_before")] if now[0] else [])


def _is_latent(name: str) -> bool:
    return name[:1] == "z" and name[1:].isdigit()


def _figure(rows: pd.DataFrame) -> Any:
    import plotly.graph_objects as go

    dots = go.Scattergl(
        x=rows["umap_x"].to_numpy(np.float32),
        y=rows["umap_y"].to_numpy(np.float32),
        mode="markers",
        hoverinfo="none",
        marker={"size": 5 if len(rows) > MANY else 8, "opacity": 0.85, "color": "#999999"},
        unselected={"marker": {"opacity": 0.12}},
    )
    axis = {"showgrid": False, "zeroline": False, "showticklabels": False, "ticks": ""}
    return go.Figure(
        dots,
        {
            "template": "none",
            "margin": {"l": 36, "r": 12, "t": 36, "b": 40},
            "xaxis": axis | {"title": {"text": "UMAP 1", "standoff": 6}},
            "yaxis": axis | {"title": {"text": "UMAP 2", "standoff": 6}},
            "hovermode": "closest",
            "dragmode": "lasso",
            "showlegend": False,
            "paper_bgcolor": "#ffffff",
            "plot_bgcolor": "#ffffff",
        },
    )


def _scale(colours: Any) -> list[str]:
    """256 colours of a colour map of Matplotlib."""
    from matplotlib.colors import to_hex

    return [to_hex(colours(i / 255)) for i in range(256)]


def _asset(name: str) -> str:
    return resources.files("particle_zoo.plots").joinpath(name).read_text(encoding="utf-8").rstrip()


def _inert(value: Any) -> str:
    """JSON in which no text can end the element it stands in, or open a comment."""
    return json.dumps(value, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
