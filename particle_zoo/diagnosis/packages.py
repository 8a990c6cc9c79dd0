"""Which packages are installed, and which should be."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from importlib import metadata
from typing import TYPE_CHECKING

from particle_zoo.diagnosis.child import ROOT
from particle_zoo.diagnosis.finding import Finding

if TYPE_CHECKING:
    from packaging.requirements import Requirement

PROJECT = "particle-zoo"
DEVELOPMENT = ("test",)
"""Extras that no user misses."""

UNLISTED = ("jax",)
"""Backends that are no extra, since their wheels depend on the device."""


@dataclass(frozen=True)
class Package:
    """A package that particle-zoo uses.

    Args:
        name: on the package index.
        version: installed; "" if it is not.
        wanted: versions that are taken, such as ">=2".
        extras: of particle-zoo that bring it; with none and not `required` it is installed by hand.
        required: whether the package cannot do without.
        fits: whether the installed version is among those taken.
    """

    name: str
    version: str
    wanted: str
    extras: tuple[str, ...]
    required: bool
    fits: bool

    @property
    def finding(self) -> Finding | None:
        """What is wrong with it. Whether a training works without it, the trial of one says."""
        # Other backends train without TensorFlow.
        may_miss = not self.required or self.name == "tensorflow"
        if self.fits or (may_miss and not self.version):
            return None
        found = f"is {self.version}" if self.version else "is not installed"
        wanted = self.wanted or "any version"
        return Finding(f"{self.name} {found}, {wanted} is needed", f"pip install '{self.name}{self.wanted}'")


def packages() -> list[Package]:
    """All packages that the checkout that this is, or else the installed metadata, names; required ones first.

    Raises:
        PackageNotFoundError: neither checkout nor metadata.
    """
    from packaging.requirements import Requirement

    wanted: dict[str, tuple[Requirement, list[str]]] = {}
    for extra, texts in _requirements().items():
        for requirement in map(Requirement, texts):
            if requirement.marker and not requirement.marker.evaluate({"extra": extra}):
                continue
            # The first that names it counts: required before optional.
            wanted.setdefault(requirement.name.lower(), (requirement, []))[1].append(extra)
    found = [_look(requirement, extras) for requirement, extras in wanted.values()]
    return sorted(found, key=lambda package: not package.required)


def _look(requirement: Requirement, extras: list[str]) -> Package:
    version = installed(requirement.name)
    fits = bool(version) and requirement.specifier.contains(version, prereleases=True)
    named = tuple(extra for extra in extras if extra not in ("", "unlisted"))
    return Package(requirement.name, version, str(requirement.specifier), named, "" in extras, fits)


def installed(name: str) -> str:
    """Version of an installed package, "" without one. A folder without its metadata counts as damaged: "?"."""
    try:
        return metadata.version(name) or "?"
    except metadata.PackageNotFoundError:
        return ""
    # What broken metadata raise depends on where they are broken.
    except (KeyError, TypeError, ValueError, OSError):
        return "?"


def _requirements() -> dict[str, list[str]]:
    """Requirements by extra, "" for those without."""
    extra: dict[str, list[str]]
    checkout = ROOT / "pyproject.toml"
    # What an editable installation has kept may be older.
    project = tomllib.loads(checkout.read_text(encoding="utf-8"))["project"] if checkout.is_file() else {}
    if project.get("name") == PROJECT:
        plain, extra = project["dependencies"], project["optional-dependencies"]
    else:
        listed = metadata.requires(PROJECT) or []
        names = metadata.metadata(PROJECT).get_all("Provides-Extra") or []
        plain = [text for text in listed if "extra ==" not in text]
        extra = {name: [text for text in listed if text not in plain] for name in names}
    kept = {name: texts for name, texts in extra.items() if name not in DEVELOPMENT}
    return {"": plain, **kept, "unlisted": list(UNLISTED)}
