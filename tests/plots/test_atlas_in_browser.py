from __future__ import annotations

import io
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb

from particle_zoo import Clusters
from particle_zoo.plots.atlas import PALETTE, atlas, pictures
from tests.plots.many_clusters import many, rows_of

pytestmark = [pytest.mark.browser, pytest.mark.slow]

N = 20_000
PATIENCE = 120
"""Seconds: WebGL is computed by the processor here, which other tests use as well."""


def until(found: Callable[[], Any]) -> Any:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        value = found()
        if value:
            return value
        time.sleep(0.05)
    raise AssertionError(f"waited {PATIENCE} seconds in vain")


class Browser:
    """Chromium without a window and without a network."""

    def __init__(self, downloads: Path) -> None:
        from selenium import webdriver
        from selenium.webdriver.chrome.service import Service

        options = webdriver.ChromeOptions()
        options.binary_location = shutil.which("chromium") or ""
        for argument in (
            "--headless=new", "--window-size=1400,900", "--host-resolver-rules=MAP * ~NOTFOUND",
            # As root Chromium has no sandbox, in a container little shared memory, and nowhere here a graphics card.
            "--no-sandbox", "--disable-dev-shm-usage",
            "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader",
        ):  # fmt: skip
            options.add_argument(argument)
        options.add_experimental_option("prefs", {"download.default_directory": str(downloads)})
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        # With the path of the driver Selenium looks for none, which it would do in the network.
        self.driver = webdriver.Chrome(options, Service(shutil.which("chromedriver")))
        self.driver.set_script_timeout(PATIENCE)
        self.downloads = downloads

    def open(self, page: Path) -> None:
        self.driver.get(page.as_uri())
        until(lambda: self.js("return document.body.dataset.state") or self.text("failure"))
        assert self.js("return document.body.dataset.state") == "ready", self.text("failure")

    def js(self, code: str, *arguments: Any) -> Any:
        return self.driver.execute_script(code, *arguments)

    def text(self, name: str) -> str:
        return str(self.js("return document.getElementById(arguments[0])?.textContent ?? ''", name))

    def complaints(self) -> list[str]:
        """What the console says, and what was asked for beyond the page."""
        asked = self.js("return performance.getEntriesByType('resource').map((entry) => entry.name)")
        return [entry["message"] for entry in self.driver.get_log("browser")] + [
            name for name in asked if not name.startswith(("data:", "blob:"))
        ]

    def place(self, x: float, y: float) -> tuple[int, int]:
        """Where a point of the map lies in the window, px."""
        return tuple(
            self.js(
                """const map = document.getElementById("map"), {left, top} = map.getBoundingClientRect();
                const {xaxis, yaxis} = map._fullLayout;
                return [left + xaxis._offset + xaxis.l2p(arguments[0]), top + yaxis._offset + yaxis.l2p(arguments[1])]
                .map(Math.round);""",
                float(x),
                float(y),
            )
        )

    def drag(self, *places: tuple[int, int]) -> None:
        """Move the mouse to the first place, and on with the button down. With one place: no button."""
        from selenium.webdriver.common.action_chains import ActionChains

        chain = ActionChains(self.driver, duration=100)
        action = chain.w3c_actions.pointer_action
        for i, (x, y) in enumerate(places):
            action.move_to_location(x, y)
            if i == 0 and len(places) > 1:
                action.pointer_down()
        if len(places) > 1:
            action.pointer_up()
        chain.perform()

    def colour_by(self, name: str) -> None:
        from selenium.webdriver.common.by import By
        from selenium.webdriver.support.select import Select

        self.js("window.painted = 0; document.getElementById('map').once('plotly_afterplot', () => window.painted++)")
        Select(self.driver.find_element(By.ID, "colour")).select_by_visible_text(name)
        until(lambda: self.js("return window.painted"))

    def click(self, name: str) -> None:
        from selenium.webdriver.common.by import By

        self.driver.find_element(By.ID, name).click()

    def pasted(self) -> str:
        """What Ctrl+V gives."""
        from selenium.webdriver.common.by import By
        from selenium.webdriver.common.keys import Keys

        self.js("const area = document.createElement('textarea'); area.id = 'pasted'; document.body.append(area)")
        self.driver.find_element(By.ID, "pasted").send_keys(Keys.CONTROL, "v")
        return str(until(lambda: self.js("return document.getElementById('pasted').value")))

    def pixel(self, x: int, y: int) -> np.ndarray:
        """Colour in the window, 0..1."""
        image = mpl.image.imread(io.BytesIO(self.driver.get_screenshot_as_png()))
        return np.asarray(image[y, x, :3])

    def selected(self) -> list[str]:
        return str(self.js("return document.getElementById('ids').value")).split("\n")


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    if not (shutil.which("chromium") and shutil.which("chromedriver")):
        pytest.skip("Chromium is not installed (Debian: apt-get install chromium chromium-driver)")
    pytest.importorskip("selenium", reason="selenium is not installed (pip install selenium)")
    browser = Browser(tmp_path_factory.mktemp("downloads"))
    yield browser
    browser.driver.quit()


@pytest.fixture(scope="module")
def clusters() -> Clusters:
    return many(N)


@pytest.fixture(scope="module")
def rows(clusters: Clusters) -> pd.DataFrame:
    rows = rows_of(clusters)
    rows.loc[1:5, "length"] = np.nan
    return rows


@pytest.fixture(scope="module")
def page(clusters: Clusters, rows: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "embedding.html"
    atlas(rows, clusters, path, title="many")
    return path


@pytest.fixture
def opened(chromium: Browser, page: Path) -> Iterator[Browser]:
    chromium.open(page)
    yield chromium
    assert chromium.complaints() == []


def faded(colour: Any) -> np.ndarray:
    """A dot is a little transparent, on white."""
    return 0.85 * np.array(to_rgb(colour)) + 0.15


def test_a_dot_under_the_mouse_shows_picture_energy_and_features(
    opened: Browser, clusters: Clusters, rows: pd.DataFrame
) -> None:
    opened.drag(opened.place(8, 8))
    until(lambda: clusters.ids[0] in opened.text("name"))
    assert opened.text("name") == f"{clusters.labels[0]}, id {clusters.ids[0]}"
    shown = opened.text("energy").split()
    assert shown[0] == "energy"
    assert float(shown[1]) == pytest.approx(rows["energy_sum"][0], rel=1e-3)
    assert shown[2:] == ["ADU,", f"{rows['size'][0]:g}", "px"]
    lines = opened.js(
        "return [...document.querySelectorAll('#features tr')].map((tr) => [...tr.cells].map((td) => td.textContent))"
    )
    features = dict(lines)
    assert set(rows.columns.drop("id")) <= set(features)
    assert float(features["elongation"]) == pytest.approx(rows["elongation"][0], rel=1e-3)
    # As many pixels are lit as the cluster has, enlarged.
    drawn = pictures(clusters[0])
    zoom = min(256 // max(int(drawn.height[0]), int(drawn.width[0])), 32)
    lit = opened.js(
        """const canvas = document.getElementById("picture");
        return canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data
        .reduce((sum, value, at) => sum + (at % 4 === 3 && value === 255), 0);"""
    )
    assert lit == (drawn.pixels > 0).sum() * zoom**2
    assert not opened.js("return document.getElementById('ring').hidden")


def test_every_kind_of_column_colours_the_map(opened: Browser, rows: pd.DataFrame) -> None:
    def dot() -> np.ndarray:
        opened.drag((5, 5))
        return opened.pixel(*opened.place(8, 8))

    order = rows["label"].value_counts().index
    np.testing.assert_allclose(dot(), faded(PALETTE[order.get_loc(rows["label"][0])]), atol=0.03)
    assert [text in opened.text("legend") for text in order] == [True] * len(order)
    opened.colour_by("kmeans")
    np.testing.assert_allclose(dot(), faded(PALETTE[rows["kmeans"][0]]), atol=0.03)
    opened.colour_by("direction")
    share = rows["direction"][0] / 180
    np.testing.assert_allclose(dot(), faded(mpl.colormaps["twilight"](share)), atol=0.03)
    opened.colour_by("z0")
    low, high = np.quantile(rows["z0"], [0.01, 0.99])
    share = np.clip((rows["z0"][0] - low) / (high - low), 0, 1)
    np.testing.assert_allclose(dot(), faded(mpl.colormaps["viridis"](share)), atol=0.03)
    opened.colour_by("length")
    assert "grey: not known" in opened.text("legend")


def test_a_box_around_everything_selects_twenty_thousand_ids(opened: Browser, rows: pd.DataFrame) -> None:
    opened.js("document.querySelector('.modebar-btn[data-val=select]').click()")
    left, top, right, bottom = opened.js(
        """const {left, top} = document.getElementById("map").getBoundingClientRect();
        const {xaxis, yaxis} = document.getElementById("map")._fullLayout;
        return [left + xaxis._offset, top + yaxis._offset, left + xaxis._offset + xaxis._length,
        top + yaxis._offset + yaxis._length].map(Math.round);"""
    )
    opened.drag((left + 2, bottom - 2), ((left + right) // 2, (top + bottom) // 2), (right - 2, top + 2))
    until(lambda: opened.text("count") == "20,000")
    assert opened.selected() == rows["id"].tolist()
    opened.click("save")
    file = opened.downloads / "selection.csv"
    until(file.exists)
    saved = pd.read_csv(file)
    assert saved["id"].tolist() == rows["id"].tolist()
    assert saved["label"].tolist() == rows["label"].tolist()
    for name in rows.columns.drop(["id", "label", "dbscan"]):
        np.testing.assert_allclose(saved[name], rows[name], rtol=2e-6, err_msg=name)
    opened.click("clear")
    assert opened.selected() == [""]


def test_a_lasso_selects_what_it_surrounds_and_a_name_selects_all_of_it(opened: Browser, rows: pd.DataFrame) -> None:
    x, y = opened.place(8, 8)
    opened.drag((x - 15, y - 15), (x + 15, y - 15), (x + 15, y + 15), (x - 15, y + 15), (x - 15, y - 15))
    until(lambda: opened.selected() == [rows["id"][0]])
    assert opened.text("count") == "1"
    opened.js("document.querySelector('#legend button').click()")
    most = rows["label"].value_counts().index[0]
    until(lambda: opened.selected() == rows["id"][rows["label"] == most].tolist())
    opened.click("copy")
    until(lambda: opened.text("copy") == "Copied")
    assert opened.pasted().split("\n") == opened.selected()
    # Another colour leaves the selection as it is.
    opened.colour_by("z0")
    assert opened.text("count") == f"{(rows['label'] == most).sum():,}"
    shown = opened.js("return document.getElementById('map')._fullData[0].selectedpoints.length")
    assert shown == (rows["label"] == most).sum()


def test_names_of_a_user_are_text_and_every_column_can_be_chosen(
    chromium: Browser, simulated: Clusters, tmp_path: Path
) -> None:
    name = "</script><script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"
    table = simulated.table.assign(id=[f"{name}, {i}" for i in range(len(simulated))], label=name, far=np.inf)
    clusters = Clusters(simulated.hits, simulated.columns, simulated.offsets, table, simulated.unit)
    rows = rows_of(clusters)
    both = rows.assign(umap_x_before=-rows["umap_x"], umap_y_before=rows["umap_y"])
    atlas(both, clusters, tmp_path / "page.html", title=name)
    chromium.open(tmp_path / "page.html")
    # The page begins with the label.
    for column in [*both.columns.drop(["id", "label"]), "label"]:
        chromium.colour_by(column)
    chromium.js("const s = document.getElementById('layout'); s.value = 1; s.dispatchEvent(new Event('change'))")
    until(lambda: chromium.place(-8, 8)[0] < chromium.place(4, 0)[0])
    chromium.drag(chromium.place(-8, 8))
    until(lambda: chromium.text("name") == f"{name}, id {clusters.ids[0]}")
    assert chromium.js("return document.title") == name
    assert chromium.complaints() == []


def test_masks_show_their_size_where_no_energy_is_known(chromium: Browser, simulated: Clusters, tmp_path: Path) -> None:
    hits = np.column_stack([simulated.hits[:, :2], np.ones(len(simulated.hits))])
    clusters = Clusters(hits, simulated.columns, simulated.offsets, simulated.table[["id", "label"]], "mask")
    atlas(rows_of(clusters), clusters, tmp_path / "page.html", title="masks")
    chromium.open(tmp_path / "page.html")
    chromium.drag(chromium.place(8, 8))
    until(lambda: chromium.text("energy") == f"energy not known, {clusters.sizes[0]} px")
    assert chromium.complaints() == []


def test_an_older_browser_is_told_so(chromium: Browser, simulated: Clusters, tmp_path: Path) -> None:
    atlas(rows_of(simulated), simulated, tmp_path / "page.html", title="old")
    earlier = {"source": "delete window.DecompressionStream"}
    script = chromium.driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", earlier)
    chromium.driver.get((tmp_path / "page.html").as_uri())
    said = until(lambda: chromium.text("failure"))
    chromium.driver.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", script)
    assert "open it in a browser of 2023 or later" in said
    assert any("DecompressionStream" in line for line in chromium.complaints())
