"""The Hive views: one .sql file each, for analysts and for the metrics alike."""
