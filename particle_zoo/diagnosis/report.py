"""The report of `particle_zoo.doctor` as text for one screen."""

from __future__ import annotations

import os
import platform
import textwrap
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from particle_zoo import __version__
from particle_zoo.diagnosis.examination import Examination
from particle_zoo.diagnosis.finding import Finding

WIDTH = 100
LINES = 40
INDENT = 14
"""Characters of the names of sections."""

SHOWN = 6
"""Findings; there are more in --json."""

LONGEST = 200
"""Characters of the problem of one."""


def report(found: Examination) -> str:
    """All sections; at most 40 lines of 100 characters, of which what to do is never left out."""
    last = to_do(found.findings).splitlines()
    first = _list(_facts(found)).splitlines()
    if len(first) + len(last) > LINES:
        first = [*first[: LINES - len(last) - 1], f"{'':{INDENT}}(the rest is in --json FILE)"]
    return "\n".join([*first, *last])


def to_do(findings: list[Finding]) -> str:
    """The findings alone."""
    return _list(_findings(findings))


def _list(rows: Iterator[tuple[str, str]]) -> str:
    # Names of packages and paths have hyphens.
    whole = textwrap.TextWrapper(WIDTH, subsequent_indent=" " * INDENT, break_on_hyphens=False)
    return "\n".join(whole.fill(f"{name:{INDENT}}{text or 'not known'}") for name, text in rows)


def _facts(found: Examination) -> Iterator[tuple[str, str]]:
    yield "particle-zoo", f"{__version__}, Python {platform.python_version()}, {found.system}"
    needed = [f"{p.name} {p.version or 'MISSING'}{'' if p.fits else ' (!)'}" for p in found.packages if p.required]
    yield "packages", ", ".join(needed)
    yield from _optional(found)
    yield "backend", f"{found.choice.name}, by {_short(found.choice.source)}{_trained(found.answer.facts)}"
    yield "devices", _processor(found.processor)
    for text, count in Counter(_gpus(found)).items():
        yield "", f"{count} x {text}" if count > 1 else text
    for device, policy, reason in found.precision:
        yield "precision", f"{policy} on {device}: {reason}"
    yield "XLA", _xla(found)
    for i, folder in enumerate(found.folders):
        state = folder.problem or f"{folder.free_gb:,.0f} GB free"
        yield "" if i else "folders", f"{folder.purpose}: {_short(str(folder.path))} ({state})"


def _optional(found: Examination) -> Iterator[tuple[str, str]]:
    optional = [package for package in found.packages if not package.required]
    there = [f"{p.name} {p.version}{'' if p.fits else ' (!)'}" for p in optional if p.version]
    if there:
        yield "optional", ", ".join(there)
    missing: dict[str, list[str]] = {}
    for package in optional:
        if not package.version:
            missing.setdefault(package.extras[0] if package.extras else "", []).append(package.name)
    if missing:
        named = [f"{', '.join(names)} [{extra}]" if extra else ", ".join(names) for extra, names in missing.items()]
        yield "not there", f"{'; '.join(named)}. 'particle-zoo[NAME]' brings what stands before [NAME]."


def _trained(facts: dict[str, Any]) -> str:
    if "loss" not in facts:
        return ""
    return f"; imported in {facts['import_seconds']:g} s, trained a first step in {facts['step_seconds']:g} s"


def _gpus(found: Examination) -> Iterator[str]:
    by_name = {card.name: card for card in found.cards}
    for gpu in found.gpus:
        card = by_name.get(gpu["name"])
        memory = gpu.get("memory_gb") or (card.memory_gb if card else 0)
        yield _gpu(gpu["name"], gpu["capability"], memory, card.driver if card else "")
    if not found.gpus:
        for card in found.cards:
            yield _gpu(card.name, card.capability, card.memory_gb, card.driver) + ", not used"
        if not found.cards:
            yield "no GPU"


def _gpu(name: str, capability: str, memory_gb: float, driver: str) -> str:
    parts = [name, f"{memory_gb:g} GB" if memory_gb else ""]
    parts += [f"compute capability {capability}" if capability else "", f"driver {driver}" if driver else ""]
    return ", ".join(filter(None, parts))


def _processor(facts: dict[str, Any]) -> str:
    if not facts:
        return ""
    return (
        f"{facts['model']}: {facts['usable_cores']} of {facts['cores']} cores usable, "
        f"{facts['free_memory_gb']:g} of {facts['memory_gb']:g} GB of memory free"
    )


def _xla(found: Examination) -> str:
    state = {
        None: "not known, since no step was trained",
        True: "on, by Keras's choice for these devices",
        False: "off, by Keras's choice: it turns it on for TensorFlow on a GPU, and for JAX",
    }[found.answer.facts.get("xla")]
    flags = [f"{name}={os.environ[name]}" for name in ("TF_XLA_FLAGS", "XLA_FLAGS") if os.environ.get(name)]
    return "; ".join([state, *flags])


def _findings(findings: list[Finding]) -> Iterator[tuple[str, str]]:
    if not findings:
        yield "what to do", "nothing; a first training: python -m particle_zoo.train tiny_cnn"
    for number, finding in enumerate(findings[:SHOWN], start=1):
        problem, remedy = _short(finding.problem), _short(finding.remedy)
        if len(problem) > LONGEST:
            problem = f"{problem[: LONGEST - 3]}..."
        text = f"{number}. {'cannot train: ' if finding.fatal else ''}{problem}; {remedy}"
        yield "what to do" if number == 1 else "", text
    if len(findings) > SHOWN:
        yield "", f"({len(findings) - SHOWN} more in --json FILE)"


def _short(text: str) -> str:
    home = str(Path("~").expanduser())
    return text.replace(home + os.sep, f"~{os.sep}") if len(home) > 1 else text
