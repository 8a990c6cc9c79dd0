"""Clusters to the MM format; it is described in `particle_zoo.detectors.readers.mm`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from particle_zoo.cli import replacing
from particle_zoo.clusters import Clusters
from particle_zoo.errors import InputError


def write(path: Path, parts: Iterable[Clusters]) -> None:
    """Write NAME.ini, NAME_cl.txt and NAME_px.txt, which appear together; pixels, energies and times come back exactly.

    Raises:
        InputError: clusters in another unit than keV, or without times.
    """
    names = [path, path.with_name(f"{path.stem}_cl.txt"), path.with_name(f"{path.stem}_px.txt")]
    with contextlib.ExitStack() as stack:
        ini, listed, pixels = (stack.enter_context(replacing(name)) for name in names)
        line = 0
        with pixels.open("wb") as file, listed.open("wb") as index:
            for part in parts:
                if part.unit != "keV" or "toa" not in part.columns:
                    raise InputError(f"MM files hold keV and a time a hit; received {part!r}; calibrate or write .clog")
                for hits in part:
                    index.write(f"{float(hits[:, 3].min())!r} {len(hits)} {line} {file.tell()}\n".encode())
                    rows = (f"{int(c)} {int(r)} {float(t)!r} {float(e)!r}\n" for r, c, e, t in hits)
                    file.write(("".join(rows) + "#\n").encode())
                    line += len(hits) + 1
        ini.write_text(f"[Measurement]\nPxFile={names[2].name}\nClFile={names[1].name}\nFormat=txt\n")


def write_simulated(path: Path, parts: Iterable[Clusters]) -> Path:
    """Write one `_sim.txt`; the table's label or `particle_type`, `theta`, `phi` and deposited energy are its truth.

    Raises:
        InputError: as `write`.
    """
    with replacing(path) as temporary, temporary.open("w", encoding="ascii", newline="\n") as file:
        for part in parts:
            if part.unit != "keV" or "toa" not in part.columns:
                raise InputError(f"MM files hold keV and a time a hit; received {part!r}; calibrate or write .clog")
            table = part.table
            kind = table["particle_type"] if "particle_type" in table else table["label"]
            energy = np.add.reduceat(part.column("energy"), part.offsets[:-1])
            for i, hits in enumerate(part):
                angles = [float(table[name].iloc[i]) if name in table else 0.0 for name in ("theta", "phi")]
                file.write(
                    f"ParticleType={kind.iloc[i]},Size={len(hits)},Energy={float(energy[i])!r},Theta={angles[0]!r},"
                    f"Phi={angles[1]!r}\n"
                )
                file.writelines(f"{int(c)} {int(r)} {float(t)!r} {float(e)!r}\n" for r, c, e, t in hits)
    return path
