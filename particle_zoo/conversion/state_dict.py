"""Read the arrays of a PyTorch state dict; nothing that a file brings is ever run."""

from __future__ import annotations

import pickle
import pickletools
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from particle_zoo.cli import sentence
from particle_zoo.errors import InputError

NAMES = ("model", "model_state_dict", "state_dict")
"""Under which a checkpoint keeps a state dict: fastai, PyTorch's own tutorials, Lightning."""

PICKLES = 4
"""At the beginning of a file of PyTorch 1.5 and before: magic number, version, system, and what was saved."""


def read(path: Path) -> dict[str, np.ndarray]:
    """Arrays of a state dict by name, in the order of the file.

    Args:
        path: of `torch.save(net.state_dict(), path)`, of any version of PyTorch, or of a checkpoint that has a state dict under one
            of `NAMES`. What else is in it, an optimizer for example, is left alone.

    Raises:
        InputError: no PyTorch, no such file, a damaged one, or one without a state dict.
    """
    torch = load_torch()
    if not path.is_file():
        raise InputError(f"there is no file {path}; give a state dict that torch.save wrote")
    try:
        stand_ins = [_stand_in(name) for name in _global_names(path)]
        with warnings.catch_warnings(), torch.serialization.safe_globals(stand_ins):
            warnings.simplefilter("ignore")
            held = torch.load(path, map_location="cpu", weights_only=True)
    # The format is a pickle in an archive, and each layer has exceptions of its own.
    except (pickle.UnpicklingError, RuntimeError, ValueError, KeyError, EOFError, IndexError, AttributeError, TypeError, OSError) as error:  # fmt: skip
        reason = sentence(str(error)).split(". ")[0][:100] or type(error).__name__
        raise InputError(
            f"{path} cannot be read as a state dict of PyTorch ({reason}); save one again with torch.save(net.state_dict(), FILE)"
        ) from error
    return _arrays(path, held)


def load_torch() -> Any:
    """The package torch.

    Raises:
        InputError: it is not installed.
    """
    try:
        import torch
    except ImportError as error:
        raise InputError(
            "weights of PyTorch are read and checked with PyTorch itself, which is not installed; install it with: "
            "pip install 'particle-zoo[torch]'"
        ) from error
    return torch


def _arrays(path: Path, held: Any) -> dict[str, np.ndarray]:
    torch = load_torch()
    for name in NAMES:
        if isinstance(held, Mapping) and isinstance(held.get(name), Mapping):
            held = held[name]
            break
    if not isinstance(held, Mapping) or not held:
        what = f"a {type(held).__name__}" if held != {} else "nothing"
        raise InputError(f"{path} holds {what} and no state dict; save one with torch.save(net.state_dict(), FILE)")
    odd = next((name for name, value in held.items() if not isinstance(value, torch.Tensor)), None)
    if odd is not None:
        raise InputError(
            f"{path} holds a {type(held[odd]).__name__} under {odd!r} where a state dict has tensors only; save one with "
            "torch.save(net.state_dict(), FILE)"
        )
    # NumPy has no bfloat16.
    return {
        str(name): (value.float() if value.is_floating_point() else value).cpu().numpy() for name, value in held.items()
    }


class _Inert:
    """Stands for any class or function that a file names: takes what it is given and does nothing."""

    def __new__(cls, *_: Any, **__: Any) -> _Inert:
        return object.__new__(cls)

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        pass


def _stand_in(name: str) -> type:
    module, _, own = name.rpartition(".")
    return type(own, (_Inert,), {"__module__": module})


def _global_names(path: Path) -> list[str]:
    """What the pickle of a file names, "module.name" each, found without reading it in.

    fastai keeps settings of its optimizer in classes of its own. PyTorch refuses unknown names, as it should, and with
    them the whole file; `_Inert` in their place lets the rest be read.
    """
    names: set[str] = set()
    with path.open("rb") as file:
        if zipfile.is_zipfile(file):
            with zipfile.ZipFile(file) as archive:
                inside = next((name for name in archive.namelist() if name.endswith("data.pkl")), None)
                pickles = [archive.read(inside)] if inside else []
            for data in pickles:
                names |= _named(data)
        else:
            file.seek(0)
            for _ in range(PICKLES):
                names |= _named(file)
    return sorted(names)


def _named(data: Any) -> set[str]:
    return {str(argument).replace(" ", ".") for code, argument, _ in pickletools.genops(data) if code.name == "GLOBAL"}
