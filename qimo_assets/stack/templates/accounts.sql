-- Read at each start, before the first connection: what was granted by hand or by an older release does not stay.
-- Where a character set is named, its own collation holds and not the server's: keys that differ by case would be one.
CREATE DATABASE IF NOT EXISTS qimo_report;
CREATE DATABASE IF NOT EXISTS dagster;
ALTER DATABASE qimo_report CHARACTER SET {{ character_set }} COLLATE {{ collation }};
ALTER DATABASE dagster CHARACTER SET {{ character_set }} COLLATE {{ collation }};
-- The installation leaves root without a password at 127.0.0.1, ::1 and the machine's name. Root is for repairs, through the socket alone.
DELETE FROM mysql.global_priv WHERE User = 'root' AND Host <> 'localhost';
FLUSH PRIVILEGES;
ALTER USER 'root'@'localhost' IDENTIFIED BY '{{ secret("mysql_root") }}';
DROP USER IF EXISTS 'qimo_publisher'@'%', 'finebi_reader'@'%', 'dagster'@'%';
CREATE OR REPLACE USER 'qimo_publisher'@'{{ host }}' IDENTIFIED BY '{{ secret("mysql_publisher") }}';
GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, DROP, CREATE TEMPORARY TABLES, CREATE VIEW, SHOW VIEW ON qimo_report.* TO 'qimo_publisher'@'{{ host }}';
CREATE OR REPLACE USER 'finebi_reader'@'{{ host }}' IDENTIFIED BY '{{ secret("mysql_reader") }}';
GRANT SELECT, SHOW VIEW ON qimo_report.* TO 'finebi_reader'@'{{ host }}';
CREATE OR REPLACE USER 'dagster'@'{{ host }}' IDENTIFIED BY '{{ secret("mysql_dagster") }}';
GRANT ALL PRIVILEGES ON dagster.* TO 'dagster'@'{{ host }}';
