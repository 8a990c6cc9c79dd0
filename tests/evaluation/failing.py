"""What goes wrong in the processes of a measurement."""

from __future__ import annotations

import os
from typing import Any

from particle_zoo.errors import InputError


def killed(*_: Any) -> dict[str, Any]:
    """Ends its process."""
    os._exit(9)


def refused(*_: Any) -> dict[str, Any]:
    """Raises what bad input raises."""
    raise InputError("no such thing; take another")
