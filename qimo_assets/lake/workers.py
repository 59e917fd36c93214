"""What forks the Python workers of a driver of its own machine: `pyspark.daemon`, which has read
before what each of them needs. By itself each takes half a second of a processor for it, and has it
in memory of its own.

    python -m qimo_assets.lake.workers

polars and pyarrow are left to the workers: they start threads when they are imported, and a fork
has none of them.
"""

import gc
import os
from importlib import import_module

from pyspark.daemon import manager

from qimo_assets.lake import ip2region
from qimo_assets.settings import REGIONS_VARIABLE

if __name__ == "__main__":
    # The functions of the tasks lie in it.
    import_module("qimo_assets.lake.parse")
    ip2region.load(os.environ[REGIONS_VARIABLE])
    # Else the first search for garbage writes to every page that the workers share.
    gc.freeze()
    manager()
