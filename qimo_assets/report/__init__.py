"""The built-in report: a page made from the MySQL tables alone, its files, and the server that
shows them.
"""
