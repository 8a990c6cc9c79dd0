"""Ids and names of many clusters as pandas columns, without a Python string each."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd


def numbered(source: str | np.ndarray, *numbers: np.ndarray) -> pd.Series:
    """`source:i` or `source:frame:i` for n clusters.

    Args:
        source: name before the numbers, the same for all or (n,) one each.
        numbers: (n,) whole numbers.

    Returns:
        (n,) strings.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    name = pa.scalar(source) if isinstance(source, str) else pa.array(source, pa.string())
    parts: list[Any] = [name, *(pa.array(values).cast(pa.string()) for values in numbers)]
    joined: pd.Series = pc.binary_join_element_wise(*parts, ":").to_pandas()
    return joined


def repeated(name: str, n: int) -> pd.Series:
    """The same string n times."""
    import pyarrow as pa

    strings: pd.Series = pa.repeat(pa.scalar(name), n).to_pandas()
    return strings
