"""`python -m particle_zoo.doctor`: what is installed, what the devices are, and what to do where something is wrong."""

from __future__ import annotations

from pathlib import Path

import click

from particle_zoo.cli import output_options, run, write_json
from particle_zoo.errors import InputError


@click.command(context_settings={"show_default": True})
@click.option(
    "--timeout", type=click.FloatRange(1), default=180.0, metavar="SECONDS",
    help="How long the backend may take to be imported and to train one step.",
)  # fmt: skip
@output_options
def doctor(timeout: float, json_path: Path | None, quiet: bool) -> None:
    """Look at packages, backend, devices and folders, train one step, and say what to do.

    The backend is tried in a process of its own, so that a broken one is reported like everything else. The exit code is 2
    where no model can be trained. With --quiet only what to do is printed.
    """
    from particle_zoo.diagnosis.examination import examine
    from particle_zoo.diagnosis.report import report, to_do

    found = examine(timeout)
    click.echo(to_do(found.findings) if quiet else report(found))
    if json_path:
        write_json(json_path, found.to_dict())
    if not found.works:
        raise InputError(str(found.findings[0]))


def main() -> None:
    """Entry point."""
    run(doctor)


if __name__ == "__main__":
    main()
