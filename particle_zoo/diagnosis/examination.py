"""Gather all that `particle_zoo.doctor` reports. Nothing here raises: what fails is a finding."""

from __future__ import annotations

import platform
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, TypeVar

from particle_zoo import __version__
from particle_zoo.diagnosis import backend, devices, gpu, packages, precision, storage
from particle_zoo.diagnosis.child import Answer, ask
from particle_zoo.diagnosis.finding import Finding

T = TypeVar("T")

PROBE = "particle_zoo.diagnosis.probe"

REASONS = {
    "SIGILL": "this processor lacks instructions that it was built for (TensorFlow takes AVX); build it from source, or take "
    "another backend",
    "SIGKILL": "the system ran out of memory, probably; free some, or ask for more",
}
"""What to do about a signal, where that is known."""


@dataclass
class Examination:
    """What was found, in the order of the report.

    Args:
        system: operating system.
        packages: see `packages.Package`.
        choice: the backend.
        processor: see `devices.processor`.
        cards: NVIDIA cards that the system has.
        answer: what the backend said of itself.
        libraries: NVIDIA's libraries that cannot be loaded, and why.
        folders: see `storage.Folder`.
        findings: what is wrong; what prevents a training first.
    """

    system: str = ""
    packages: list[packages.Package] = field(default_factory=list)
    choice: backend.Choice = field(default_factory=lambda: backend.Choice("", ""))
    processor: dict[str, Any] = field(default_factory=dict)
    cards: list[devices.Card] = field(default_factory=list)
    answer: Answer = field(default_factory=Answer)
    libraries: dict[str, str] = field(default_factory=dict)
    folders: list[storage.Folder] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    @property
    def gpus(self) -> list[dict[str, Any]]:
        """Accelerators that the backend sees: name, compute capability and, where known, memory in GB."""
        gpus: list[dict[str, Any]] = self.answer.facts.get("gpus", [])
        return gpus

    @property
    def precision(self) -> list[tuple[str, str, str]]:
        """Device, value of `--precision` and reason, for each kind of device that would train."""
        kinds = {gpu["name"]: gpu["capability"] for gpu in self.gpus} or {"CPU": ""}
        return [(name, *precision.advice(name, capability)) for name, capability in kinds.items()]

    @property
    def works(self) -> bool:
        """Whether models can be trained here."""
        return not any(finding.fatal for finding in self.findings)

    def to_dict(self) -> dict[str, Any]:
        """All of it, for `--json`."""
        facts = self.answer.facts
        return {
            "particle_zoo": __version__,
            "python": platform.python_version(),
            "system": self.system,
            "packages": [asdict(package) for package in self.packages],
            "backend": {"name": self.choice.name, "source": self.choice.source, "build": facts.get("build", {})},
            "import_seconds": facts.get("import_seconds"),
            "step_seconds": facts.get("step_seconds"),
            "xla": facts.get("xla"),
            "processor": self.processor,
            "cards": [asdict(card) for card in self.cards],
            "gpus": self.gpus,
            "missing_libraries": self.libraries,
            "precision": [dict(zip(("device", "precision", "reason"), row, strict=True)) for row in self.precision],
            "folders": [
                {
                    "purpose": folder.purpose,
                    "path": str(folder.path),
                    "free_gb": folder.free_gb,
                    "problem": folder.problem,
                }
                for folder in self.folders
            ],
            "works": self.works,
            "findings": [asdict(finding) for finding in self.findings],
        }


def examine(timeout: float) -> Examination:
    """Look at everything.

    Args:
        timeout: seconds that the backend may take to be imported and to train one step.
    """
    found = Examination()
    add = found.findings.append

    def look(what: str, at: Callable[[], T], default: T) -> T:
        """The result, or the default and a finding."""
        try:
            return at()
        # Whatever it is that is broken here, the rest of the report has to come.
        except Exception as error:
            add(
                Finding(
                    f"{what} could not be looked at ({type(error).__name__}: {error})", "install particle-zoo again"
                )
            )
            return default

    found.system = look("the system", devices.system, "")
    found.packages = look("the packages", packages.packages, [])
    found.choice = look("the choice of the backend", backend.choice, backend.Choice(backend.DEFAULT, "the default"))
    found.processor = look("the processor", devices.processor, {})
    no_cards: tuple[list[devices.Card], str] = ([], "")
    found.cards, driver = look("the graphics cards", devices.cards, no_cards)
    if found.choice.name in backend.TRAINING:
        found.answer = ask(PROBE, timeout=timeout)
        if found.answer.ended:
            add(_broken(found, timeout))
    if found.choice.finding:
        add(found.choice.finding)
    look("the graphics cards", lambda: gpu.explain(found, driver, timeout), None)
    found.folders = look("the folders", storage.folders, [])
    parts: list[packages.Package | storage.Folder] = [*found.packages, *found.folders]
    found.findings += filter(None, (part.finding for part in parts))
    found.findings.sort(key=lambda finding: not finding.fatal)
    return found


def _broken(found: Examination, timeout: float) -> Finding:
    """What to do about a backend that does not train."""
    name, answer = found.choice.name, found.answer
    problem = f"{answer.facts.get('stage', 'starting Python')} ({name}) {answer.ended}"
    others = [other for other in backend.TRAINING if other != name and packages.installed(other)]
    instead = f", or set KERAS_BACKEND={others[0]}, which is installed" if others else ""
    if "took longer" in answer.ended:
        remedy = f"if the disk is slow, give --timeout more than {timeout:g}; else install {name} again"
    elif missing := re.search(r"No module named '(\w+)", answer.ended):
        remedy = f"pip install {missing[1]}"
    else:
        remedy = REASONS.get(answer.signal, f"pip install --force-reinstall {answer.facts.get('culprit') or name}")
    return Finding(problem, remedy + instead, fatal=True)
