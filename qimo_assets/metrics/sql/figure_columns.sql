-- A table that an earlier release made lacks the hashes. Its links are of another catalog and count no more.
ALTER TABLE {{ table }} ADD COLUMNS (hash BIGINT, other_hash BIGINT)
