"""What any Dagster instance of the platform needs, embedded or a company's own: its storage, the
launcher of runs, the code server, retention, and the runs that a command ends, waits for or
launches. Knows Dagster and no room.
"""
