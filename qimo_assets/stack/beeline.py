"""The interactive shell of HiveServer2: beeline from pyspark's own jars."""

from __future__ import annotations

import os

from qimo_assets.settings import HiveSettings
from qimo_assets.stack.errors import StackError
from qimo_assets.stack.jars import PYSPARK_HOME
from qimo_assets.stack.java import java_home

# Without the scripts of Spark, which start another JVM to find out this line.
OPTIONS = ("-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData")
MAIN = "org.apache.hive.beeline.BeeLine"


def beeline_command(hive: HiveSettings, database: str) -> list[str]:
    """Return the command line of a session, for a program that takes this process's place.

    Args:
        hive: HiveServer2.
        database: Hive database of the session.

    Raises:
        StackError: Beeline cannot be told how to connect.
    """
    if hive.auth not in ("NONE", "LDAP", "CUSTOM") or hive.ca_file:
        raise StackError(
            "beeline takes neither a CA in a PEM file nor a principal from the settings: give "
            "./qimo sql its statements as QUERY or on standard input, or run your own beeline."
        )
    url = f"jdbc:hive2://{hive.host}:{hive.port}/{database}"
    password = ["-w", _readable_once(hive.password.get_secret_value())] if hive.password else []
    java = [str(java_home() / "bin" / "java"), *OPTIONS, "-Dfile.encoding=UTF-8"]
    class_path = os.pathsep.join(str(PYSPARK_HOME / part) for part in ("conf", "jars/*"))
    return [*java, "-cp", class_path, MAIN, "-u", url, "-n", hive.username, *password]


def _readable_once(secret: str) -> str:
    """Return the path of a pipe from which a program that this process becomes reads a secret: it
    stands on no command line and in no file.
    """
    reading, writing = os.pipe()
    os.set_inheritable(reading, True)
    os.write(writing, secret.encode())
    os.close(writing)
    return f"/dev/fd/{reading}"
