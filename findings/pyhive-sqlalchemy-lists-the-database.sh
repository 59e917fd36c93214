#!/bin/sh
# Question: which tables does SQLAlchemy list when it asks a Spark Thrift server through PyHive's dialect?
# Versions: PyHive 0.7.0, SQLAlchemy 2.0.44, Spark 3.5.7.
# Behaviour: the name of the database, once for each table. Hive answers SHOW TABLES with one column, the name; Spark answers with three, of
#   which the first is the database. The dialect takes the first. A tool that then asks for the columns of what was listed is told that
#   there is no such table. Queries of the tables, with their columns and types, are right.
# Seen: tables ['shop', 'shop'], TABLE_OR_VIEW_NOT_FOUND, rows [(1,)]
# So: with tools that list tables by SQLAlchemy, give the query of a table (a virtual dataset) instead of choosing it.
set -eu
work=$(mktemp -d)
server=''
trap 'test -z "$server" || { kill "$server"; wait "$server" || true; } 2>/dev/null; rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet pyspark==3.5.7 PyHive==0.7.0 SQLAlchemy==2.0.44 thrift==0.22.0 pure-sasl==0.6.2 thrift-sasl==0.4.3 setuptools==80.9.0
port=$(python3 -c 'import socket; s = socket.create_server(("127.0.0.1", 0)); print(s.getsockname()[1])')
cd "$work"
java --add-opens=java.base/java.lang=ALL-UNNAMED --add-opens=java.base/java.util=ALL-UNNAMED --add-opens=java.base/java.nio=ALL-UNNAMED \
    --add-opens=java.base/sun.nio.ch=ALL-UNNAMED --add-opens=java.base/java.lang.invoke=ALL-UNNAMED --add-opens=java.base/java.net=ALL-UNNAMED \
    --add-opens=java.base/java.util.concurrent=ALL-UNNAMED --add-opens=java.base/sun.security.action=ALL-UNNAMED \
    -cp "$(echo "$work"/venv/lib/python3*/site-packages/pyspark/jars)/*" org.apache.spark.deploy.SparkSubmit \
    --master 'local[1]' --conf spark.ui.enabled=false --conf spark.driver.bindAddress=127.0.0.1 --conf spark.driver.host=127.0.0.1 \
    --conf "spark.sql.warehouse.dir=$work/warehouse" \
    --class org.apache.spark.sql.hive.thriftserver.HiveThriftServer2 spark-internal \
    --hiveconf hive.server2.thrift.bind.host=127.0.0.1 --hiveconf "hive.server2.thrift.port=$port" >"$work/server.log" 2>&1 &
server=$!
PORT=$port "$work/venv/bin/python" - <<'PY'
import os
import time

import sqlalchemy

engine = sqlalchemy.create_engine(f"hive://me@127.0.0.1:{os.environ['PORT']}/default")
deadline = time.monotonic() + 120
while True:
    try:
        connection = engine.connect()
        break
    except Exception:
        assert time.monotonic() < deadline, open("server.log").read()[-3000:]
        time.sleep(1)
with connection:
    for statement in (
        "CREATE DATABASE shop",
        "CREATE TABLE shop.orders AS SELECT 1 AS number",
        "CREATE VIEW shop.open_orders AS SELECT * FROM shop.orders",
        "USE shop",
    ):
        connection.execute(sqlalchemy.text(statement))
    found = sqlalchemy.inspect(connection)
    tables = found.get_table_names()
    try:
        found.get_columns(tables[0])
    except sqlalchemy.exc.DBAPIError as error:
        [told] = [code for code in ("TABLE_OR_VIEW_NOT_FOUND",) if code in str(error)]
    else:
        raise AssertionError(f"{tables[0]} has columns")
    rows = connection.execute(sqlalchemy.text("SELECT * FROM shop.orders")).all()
    print("tables", tables, told, "rows", rows)
    assert tables == ["shop", "shop"], tables
    assert rows == [(1,)], rows
PY
