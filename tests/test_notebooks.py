"""Notebooks run from top to bottom on small data, and read well without being run."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from jupyter_client.manager import KernelManager
from nbclient import NotebookClient

from tests.forms import ALL

ROOT = Path(__file__).parents[1]

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


QUICK = """
import tensorflow
from particle_zoo.evaluation import embedding
tensorflow.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
embedding.umap_of = lambda vectors, **_: vectors[:, :2]
del tensorflow, embedding
"""
"""In the small form UMAP, which compiles for half a minute, and the optimiser of graphs, which takes longer than it gains, are left to
other tests."""


def read(path: Path) -> Any:
    return nbformat.read(path, as_version=4)


def test_there_are_notebooks() -> None:
    assert NOTEBOOKS


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_short_checks_itself_and_shows_its_outputs(path: Path) -> None:
    book = read(path)
    nbformat.validate(book)
    code = [cell for cell in book.cells if cell.cell_type == "code"]
    assert len(book.cells) < 15
    assert any("assert " in cell.source for cell in code)
    assert any("image/png" in output.get("data", {}) for cell in code for output in cell.outputs)
    assert not [o for cell in code for o in cell.outputs if o.output_type == "error" or o.get("name") == "stderr"]
    assert str(Path.home()) not in path.read_text()
    # Only what is printed: a picture may hold any letters.
    assert not [o for cell in code for o in cell.outputs if tempfile.gettempdir() in o.get("text", "")]


@pytest.fixture(scope="function" if ALL else "module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KernelManager]:
    """One for all notebooks, since loading TensorFlow takes longer than most of them; in a home of its own.

    What a notebook forgot to import an earlier one may have: in the full form of the tests each has a kernel of its own.
    """
    home = tmp_path_factory.mktemp("home")
    own = {
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
        # The companion need not be installed.
        "PARTICLE_ZOO_PATH": str(ROOT / "weights" / "particle_zoo_weights"),
        "PARTICLE_ZOO_HOME": str(home / "zoo"),
        "TFDS_DATA_DIR": str(home / "tfds"),
        # Those that write files make a folder there.
        "TMPDIR": str(home),
    }
    manager = KernelManager()
    manager.start_kernel(env={**os.environ, **own})
    yield manager
    manager.shutdown_kernel(now=True)
    manager.context.destroy()


@pytest.mark.slow
# The kernel is spoken to through sockets and an event loop of a library that closes them late.
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore:IPKernelApp", "ignore::DeprecationWarning:jupyter_client.*")
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_from_top_to_bottom(path: Path, tmp_path: Path, kernel: KernelManager) -> None:
    book = read(path)
    alone = f"%reset -f\nimport keras, os\nos.chdir({str(tmp_path)!r})\nkeras.config.set_dtype_policy('float32')\ndel keras, os"
    book.cells.insert(0, nbformat.v4.new_code_cell(alone if ALL else alone + QUICK))
    client = NotebookClient(book, km=kernel, timeout=600)
    try:
        client.execute()
    finally:
        client.kc.stop_channels()
    assert all(cell.execution_count for cell in book.cells if cell.cell_type == "code")
    # What lies beside a notebook would stop its second run.
    assert not list(tmp_path.iterdir())
