"""The same matrix as a cluster's."""

from __future__ import annotations

from qimo_assets_tests.cluster.conftest import matrix

__all__ = ["matrix"]
