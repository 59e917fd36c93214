"""One Dagster resource per outside system; a resource knows how to connect and nothing of what is
asked over the connection.
"""
