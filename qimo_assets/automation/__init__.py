"""When work begins unasked: conditions, runs for ranges of days, pauses after failures."""

import warnings

import dagster as dg

# The version is pinned, so that a beta parameter cannot change; six lines of warning at each load
# hide what matters. Said here, because whatever loads a room of assets loads this first.
warnings.filterwarnings("ignore", category=dg.BetaWarning)
