"""The chat servers' log directory and the Flume agent that tails it."""
