-- The rows of links that were held, as the table has its columns.
SELECT /*+ REPARTITION(1) */ * FROM {{ view }}
