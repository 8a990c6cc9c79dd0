from __future__ import annotations

import base64
import errno
import json
import re
import zlib
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from particle_zoo import Clusters
from particle_zoo.errors import InputError
from particle_zoo.evaluation.embedding import embed
from particle_zoo.plots.atlas import MANY, SIDE, atlas, pictures
from tests.plots.many_clusters import many, rows_of

HOSTILE = "</script><script>document.title='owned'</script><!--<script>"


class Page(HTMLParser):
    """Elements with their attributes, and what is written inside scripts with an id."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, str] = {}
        self.inside: str | None = None
        self.feed(text)
        contents = json.loads(self.texts["about"])
        self.contents: dict[str, Any] = contents
        self.buffer = zlib.decompress(base64.b64decode(self.texts["values"]))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self.inside = dict(attrs).get("id") if tag == "script" else None

    def handle_data(self, data: str) -> None:
        if self.inside:
            self.texts[self.inside] = self.texts.get(self.inside, "") + data

    def values(self, part: dict[str, Any]) -> np.ndarray:
        kind = np.dtype(part["type"]).newbyteorder("<")
        assert part["start"] % kind.itemsize == 0
        return np.frombuffer(self.buffer, kind, part["length"], part["start"])

    def column(self, name: str) -> np.ndarray:
        (found,) = [column for column in self.contents["columns"] if column["name"] == name]
        values = self.values(found["values"])
        return np.array(found["names"])[values] if "names" in found else values

    @property
    def names(self) -> list[str]:
        return [column["name"] for column in self.contents["columns"]]


def written(clusters: Clusters, folder: Path, rows: pd.DataFrame | None = None) -> Page:
    path = folder / "embedding.html"
    atlas(rows_of(clusters) if rows is None else rows, clusters, path, title="a & b")
    assert [p.name for p in folder.iterdir()] == ["embedding.html"]
    return Page(path.read_text(encoding="utf-8"))


def test_the_page_asks_for_nothing_from_elsewhere(simulated: Clusters, tmp_path: Path) -> None:
    page = written(simulated, tmp_path)
    attributes = [(tag, name) for tag, found in page.elements for name in found]
    assert not [(tag, name) for tag, name in attributes if name in ("src", "href", "srcset", "data", "action")]
    assert not [tag for tag, _ in page.elements if tag in ("link", "iframe", "img", "base", "object", "embed")]
    policy = next(e["content"] for _, e in page.elements if e.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    assert policy.startswith("default-src 'none'")
    assert not re.search(r"https?:|\*|connect-src|'self'", policy)
    style = (tmp_path / "embedding.html").read_text(encoding="utf-8").split("<style>")[1].split("</style>")[0]
    assert "url(" not in style
    assert "@import" not in style


def test_all_columns_come_back_as_they_were(simulated: Clusters, tmp_path: Path) -> None:
    numbers = np.arange(len(simulated))
    clusters = simulated.with_table(event=2**24 + 1 + numbers, run=np.where(numbers % 2, "a", "b"), lost=np.nan)
    rows = rows_of(clusters)
    rows.loc[3, "length"] = np.nan
    rows.loc[4, "length"] = np.inf
    page = written(clusters, tmp_path, rows)
    assert page.contents["ids"] == clusters.ids.tolist()
    for name in rows.columns.drop(["id", "label", "kmeans", "dbscan", "length"]):
        np.testing.assert_array_equal(page.column(name), rows[name].to_numpy(np.float32), err_msg=name)
    assert np.flatnonzero(np.isnan(page.column("length"))).tolist() == [3, 4]
    assert page.column("label").tolist() == clusters.labels.tolist()
    assert page.column("kmeans").tolist() == rows["kmeans"].astype(str).tolist()
    assert page.column("dbscan").tolist() == rows["dbscan"].astype(str).replace("-1", "noise").tolist()
    # Neighbouring numbers of events are not the same in single precision.
    assert page.column("event").tolist() == clusters.table["event"].tolist()
    assert page.column("run").tolist() == clusters.table["run"].tolist()
    assert "lost" not in page.names
    assert page.contents["unit"] == "ADU"


@pytest.mark.usefixtures("plain_map")
def test_the_table_of_embed_is_a_map_whatever_the_unit(simulated: Clusters, timepix3: Clusters, tmp_path: Path) -> None:
    mask = Clusters(
        np.column_stack([simulated.hits[:, :2], np.ones(len(simulated.hits))]), ("row", "col", "energy"),
        simulated.offsets, simulated.table[["id", "label"]], "mask",
    )  # fmt: skip
    for clusters, unit in ((simulated, "ADU"), (timepix3, "keV"), (mask, "ADU")):
        vectors = np.random.default_rng(0).normal(size=(len(clusters), 3))
        rows = embed(vectors, clusters, groups=3, neighbors=5, seed=0)
        page = written(clusters, tmp_path, rows)
        assert page.contents["unit"] == unit
        known = rows.columns[rows.notna().any()].drop("id")
        assert set(known) <= set(page.names)
        # A mask has no energy to show or to colour by.
        assert ("energy_sum" in page.names) == (clusters is not mask)


def test_a_map_before_is_another_to_choose(simulated: Clusters, tmp_path: Path) -> None:
    rows = rows_of(simulated)
    assert len(written(simulated, tmp_path, rows).contents["maps"]) == 1
    both = rows.assign(umap_x_before=rows["umap_y"], umap_y_before=rows["umap_x"])
    page = written(simulated, tmp_path, both)
    assert [found["name"] for found in page.contents["maps"]] == ["after", "before"]
    np.testing.assert_array_equal(page.column(page.contents["maps"][1]["x"]), rows["umap_y"].astype(np.float32))


def test_text_of_a_user_cannot_leave_its_place(simulated: Clusters, tmp_path: Path) -> None:
    harmless = written(simulated, tmp_path)
    table = simulated.table.assign(id=[HOSTILE + str(i) for i in range(len(simulated))], label=HOSTILE, note=HOSTILE)
    hostile = Clusters(simulated.hits, simulated.columns, simulated.offsets, table, simulated.unit)
    page = written(hostile, tmp_path)
    assert [tag for tag, _ in page.elements] == [tag for tag, _ in harmless.elements]
    assert page.contents["ids"] == hostile.ids.tolist()
    assert set(page.column("label")) == set(page.column("note")) == {HOSTILE}
    path = tmp_path / "embedding.html"
    atlas(rows_of(simulated), simulated, path, title=HOSTILE)
    assert [tag for tag, _ in Page(path.read_text()).elements] == [tag for tag, _ in harmless.elements]


def test_pictures_keep_pixels_and_add_up_those_of_large_clusters() -> None:
    small = np.array([[5, 7, 4.0], [6, 7, 1.0], [6, 9, 0.0]])
    long = np.column_stack([np.arange(150), np.full(150, 3), np.full(150, 2.0)])
    found = pictures(Clusters.from_list([small, long, small[:1]]))
    assert found.height.tolist() == [2, 50, 1]
    assert found.width.tolist() == [3, 1, 1]
    assert found.shrunk.tolist() == [1, 3, 1]
    assert found.height.max() <= SIDE
    first, second, third = np.split(found.pixels, [6, 56])
    # Square roots of 4, 1 and 0 of 4; a hit without energy is still a hit.
    assert first.tolist() == [255, 0, 0, 128, 0, 1]
    assert second.tolist() == [255] * 50
    assert third.tolist() == [255]


def test_pixels_counted_twice_or_below_zero_do_no_harm() -> None:
    twice = np.array([[0, 0, 1.0], [0, 0, 1.0], [0, 1, 2.0]])
    below = np.array([[0, 0, -3.0], [0, 1, -1.0]])
    unknown = np.array([[0, 0, np.nan], [0, 1, 9.0]])
    assert pictures(Clusters.from_list([twice, below, unknown])).pixels.tolist() == [255, 255, 1, 1, 1, 255]


def test_twenty_thousand_clusters_take_less_than_30_MB(tmp_path: Path) -> None:  # noqa: N802
    clusters = many(20_000)
    assert len(clusters) > MANY
    page = written(clusters, tmp_path)
    assert len(page.values(page.contents["pictures"]["pixels"])) >= len(clusters.hits)
    assert (tmp_path / "embedding.html").stat().st_size < 30e6


def test_what_is_no_map_of_these_clusters_is_said(simulated: Clusters, tmp_path: Path) -> None:
    rows = rows_of(simulated)
    for wrong, message in (
        (rows[:-1], "119 rows of the map are not those of the 120 clusters"),
        (rows.iloc[::-1], "not those"),
        (rows.drop(columns="umap_y"), "no umap_y"),
    ):
        with pytest.raises(InputError, match=message) as error:
            atlas(wrong, simulated, tmp_path / "embedding.html", title="t")
        assert "\n" not in str(error.value)
    assert not list(tmp_path.iterdir())


def test_a_page_that_cannot_be_written_leaves_the_earlier_one(
    simulated: Clusters, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "embedding.html").write_text("earlier")
    write = Path.write_text

    def full(self: Path, text: str, **options: Any) -> int:
        write(self, text[:100], **options)
        raise OSError(errno.ENOSPC, "no space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError, match="no space"):
        atlas(rows_of(simulated), simulated, tmp_path / "embedding.html", title="t")
    assert [p.name for p in tmp_path.iterdir()] == ["embedding.html"]
    assert (tmp_path / "embedding.html").read_text() == "earlier"
