CREATE DATABASE IF NOT EXISTS qimo_report CHARACTER SET utf8mb4;
CREATE DATABASE IF NOT EXISTS dagster CHARACTER SET utf8mb4;
ALTER USER 'root'@'localhost' IDENTIFIED BY '{{ secret("mysql_root") }}';
CREATE USER IF NOT EXISTS 'qimo_publisher'@'%' IDENTIFIED BY '{{ secret("mysql_publisher") }}';
GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, DROP, INDEX, CREATE TEMPORARY TABLES, CREATE VIEW, SHOW VIEW ON qimo_report.* TO 'qimo_publisher'@'%';
CREATE USER IF NOT EXISTS 'finebi_reader'@'%' IDENTIFIED BY '{{ secret("mysql_reader") }}';
GRANT SELECT, SHOW VIEW ON qimo_report.* TO 'finebi_reader'@'%';
CREATE USER IF NOT EXISTS 'dagster'@'%' IDENTIFIED BY '{{ secret("mysql_dagster") }}';
GRANT ALL PRIVILEGES ON dagster.* TO 'dagster'@'%';
