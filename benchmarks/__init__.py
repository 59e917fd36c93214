"""The benchmarks behind `./qimo bench`: each runs beside its baselines, on a stack of its own, and
tells medians, spread and ratios.

The room stands beside the others: it uses all of them, and none of them knows it.
"""
