"""A row as netdsl does it."""

from __future__ import annotations

from collections.abc import Callable

import netdsl
import numpy as np
from rows import Row


def engine_of(row: Row) -> netdsl.runtime.model.Any:
    """The compiled network."""
    return netdsl.load(row.file, row.net_name, **row.params).compile("cpu", batch=row.batch).engine
