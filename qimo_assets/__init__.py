"""qimo_assets: chat lines from file to figure, once, as a Dagster asset graph."""
