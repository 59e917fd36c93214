"""hudi-rs in an environment of somebody's own.

    python own_hudi.py DIRECTORY DAY

Prints how many rows of a day it reads from a copy of the table.
"""

from __future__ import annotations

import sys

from hudi import HudiReadOptions, HudiTable  # pyright: ignore[reportMissingImports]  # the test's

if __name__ == "__main__":
    directory, day = sys.argv[1:]
    options = HudiReadOptions(filters=[("day", "=", day)])
    print(sum(batch.num_rows for batch in HudiTable(directory).read(options)))
