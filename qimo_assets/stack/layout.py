"""Where the embedded stack keeps its files and on which ports it listens.

All state stands under `QIMO_HOME`: `install/` can be fetched again, `data/` is what users own, the rest is rendered at each start.
"""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from qimo_assets.settings import PROJECT_ROOT, qimo_home
from qimo_assets.stack.errors import StackError

# A listener stands at the usual port of its software plus this offset, so that a Kafka or MySQL already there is not in the way.
DEFAULT_PORT_OFFSET = 20_000
USUAL_PORTS = {
    "kafka": 9092,
    "kafka_controller": 9093,
    "namenode": 8020,
    "namenode_http": 9870,
    "datanode": 9866,
    "datanode_http": 9864,
    "datanode_ipc": 9867,
    "metastore": 9083,
    "hive": 10000,
    "mysql": 3306,
    "dagster": 3000,
    "dagster_code": 4000,
    "report": 8088,
}
# The longest path that a Unix socket takes on Linux is 107 bytes (sun_path, unix(7)).
MAX_SOCKET_PATH = 107
# The largest process number on Linux (PID_MAX_LIMIT).
LARGEST_PID = 4_194_304


@dataclass(frozen=True)
class Layout:
    """Paths and ports of one embedded stack."""

    home: Path
    ports: dict[str, int]

    @property
    def install(self) -> Path:
        """Downloaded software."""
        return self.home / "install"

    @property
    def data(self) -> Path:
        """What the services keep."""
        return self.home / "data"

    @property
    def etc(self) -> Path:
        """Rendered configurations."""
        return self.home / "etc"

    @property
    def log(self) -> Path:
        """One log file for each service."""
        return self.home / "log"

    @property
    def run(self) -> Path:
        """Sockets, the supervisor's pid, scratch files."""
        return self.home / "run"

    @property
    def tmp(self) -> Path:
        """Temporary files."""
        return self.run / "tmp"

    @property
    def secrets(self) -> Path:
        """Generated passwords, one file each, mode 0600."""
        return self.home / "secrets"

    @property
    def chat(self) -> Path:
        """The directory in which the chat servers append their lines."""
        return self.home / "chat"

    @property
    def dagster_home(self) -> Path:
        """Dagster's home directory."""
        return self.home / "dagster"

    @property
    def supervisor_socket(self) -> Path:
        """The socket on which supervisord takes commands."""
        return self.run / "supervisor.sock"

    def secret(self, name: str) -> str:
        """Return the generated password of this name; it is made at the first call."""
        path = self.secrets / name
        if not path.exists():
            self.secrets.mkdir(parents=True, exist_ok=True, mode=0o700)
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w") as file:
                file.write(secrets.token_urlsafe(24))
        return path.read_text()

    def make_directories(self) -> None:
        """Create the directories that services expect to find."""
        for path in (self.install, self.data, self.etc, self.log, self.tmp, self.chat, self.dagster_home):
            path.mkdir(parents=True, exist_ok=True)


def current_layout() -> Layout:
    """Return the layout that `QIMO_HOME`, `QIMO_PORT_OFFSET` and `QIMO_PORT_<NAME>` ask for.

    Raises:
        StackError: A port is not a number from 1 to 65535, two are equal, or `QIMO_HOME` is too deep for a Unix socket.
    """
    layout = Layout(home=qimo_home(), ports=_ports())
    # supervisord binds its socket under a name that ends in its pid, the longest of all, and renames it.
    if len(os.fsencode(f"{layout.supervisor_socket}.{LARGEST_PID}")) > MAX_SOCKET_PATH:
        raise StackError(f"{layout.home} is too long a path for Unix sockets; set QIMO_HOME to a shorter one.")
    return layout


def _ports() -> dict[str, int]:
    offset = os.environ.get("QIMO_PORT_OFFSET", str(DEFAULT_PORT_OFFSET))
    ports: dict[str, int] = {}
    for name, usual in USUAL_PORTS.items():
        variable = f"QIMO_PORT_{name.upper()}"
        text = os.environ.get(variable)
        try:
            port = int(text) if text else usual + int(offset)
        except ValueError:
            raise StackError(f"{variable if text else 'QIMO_PORT_OFFSET'} must be a number, not {text or offset!r}.") from None
        if not 1 <= port <= 65535:
            raise StackError(f"Port {port} of {name} is out of range; set {variable} or QIMO_PORT_OFFSET.")
        if port in ports.values():
            raise StackError(f"Port {port} is asked for twice, the second time for {name}; set {variable}.")
        ports[name] = port
    return ports


def project_file(name: str) -> Path:
    """Return the path of a file at the top of the project."""
    return PROJECT_ROOT / name
