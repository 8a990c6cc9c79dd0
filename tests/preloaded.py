"""What processes have imported when the server of `tests.forked` forks them."""

from __future__ import annotations

import gc
import warnings

FILTERS = list(warnings.filters)
"""Those of an interpreter that has imported nothing."""

from particle_zoo.cli import hushed  # noqa: E402

with warnings.catch_warnings(), hushed():
    warnings.simplefilter("ignore")
    import keras  # noqa: F401
    import matplotlib.pyplot  # noqa: F401
    import optuna  # noqa: F401
    import pyarrow.parquet  # noqa: F401
    import scipy.stats  # noqa: F401
    import sklearn  # noqa: F401
    import tensorflow_datasets  # noqa: F401

    from particle_zoo.models import base  # noqa: F401

from tests import forked  # noqa: E402

warnings.filters[:] = FILTERS
# JAX, which scipy and Keras import where it is installed, warns of every fork; it computes nothing here.
warnings.filterwarnings("ignore", "os.fork", RuntimeWarning)
gc.collect()
gc.freeze()
forked.serve()
