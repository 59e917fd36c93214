"""qimo_assets: chat lines from file to figure, once, as a Dagster asset graph."""

# The one place of the version: pyproject.toml takes it from here.
__version__ = "1.0.0"
