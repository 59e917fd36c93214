"""Where the embedded stack keeps its files, with which profile, and on which ports it listens.

All state stands under `QIMO_HOME`: `install/` can be fetched again, `data/` is what users own, the
rest is rendered at each start.
"""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from qimo_assets.settings import LOOPBACK, PROJECT_ROOT, qimo_home
from qimo_assets.stack.errors import StackError
from qimo_assets.stack.profiles import PROFILES, SINGLE, Profile, port_name

# A listener stands at the usual port of its software plus this offset, so that a Kafka or MySQL
# already there is not in the way.
DEFAULT_PORT_OFFSET = 20_000
# Below the data, the file that names the profile with which it was made.
PROFILE_FILE = "profile"
# The longest path that a Unix socket takes on Linux is 107 bytes (sun_path, unix(7)).
MAX_SOCKET_PATH = 107


@dataclass(frozen=True)
class Layout:
    """Paths, ports and profile of one embedded stack."""

    home: Path
    ports: dict[str, int]
    profile: Profile = SINGLE

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

    def address(self, service: str, kind: str = "") -> str:
        """Return host and port at which a service listens.

        Args:
            service: Its name.
            kind: The kind of its port; none is the one for its clients.
        """
        return f"{LOOPBACK}:{self.ports[port_name(service, kind)]}"

    def bootstrap(self) -> str:
        """Return the addresses of the brokers, as Kafka's clients take them."""
        return ",".join(self.address(broker) for broker in self.profile.brokers)

    def keep_profile(self) -> None:
        """Write down with which profile the data is made."""
        (self.data / PROFILE_FILE).write_text(f"{self.profile.name}\n")

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
        for path in (
            self.install,
            self.data,
            self.etc,
            self.log,
            self.tmp,
            # HiveServer2 looks there when a session ends, and takes it for an error when it is not.
            self.run / "hive",
            self.chat,
            self.dagster_home,
        ):
            path.mkdir(parents=True, exist_ok=True)
        self.secrets.mkdir(mode=0o700, exist_ok=True)


def current_layout(profile: str | None = None) -> Layout:
    """Return the layout that `QIMO_HOME`, `QIMO_PORT_OFFSET` and `QIMO_PORT_<NAME>` ask for.

    Args:
        profile: Name of the profile; None takes the one of the data that is there, and the single
            one where there is none.

    Raises:
        StackError: The data was made with another profile, a port is not a number from 1 to 65535,
            two are equal, or `QIMO_HOME` is too deep for a Unix socket.
    """
    home = qimo_home()
    chosen = _profile(home, profile)
    layout = Layout(home=home, ports=_ports(chosen), profile=chosen)
    # The longest of all: Python's multiprocessing, which forks the runs, names socket and directory
    # by chance.
    longest = layout.tmp / "pymp-xxxxxxxx" / "listener-xxxxxxxx"
    if len(os.fsencode(longest)) > MAX_SOCKET_PATH:
        raise StackError(
            f"{layout.home} is too long a path for Unix sockets; set QIMO_HOME to a shorter one."
        )
    return layout


def _profile(home: Path, wanted: str | None) -> Profile:
    kept = _kept_profile(home)
    if wanted and kept and wanted != kept:
        raise StackError(
            f"The data in {home} was made with the profile {kept}, which it keeps. Run "
            "./qimo up without --profile, set QIMO_HOME to another directory, "
            "or begin with empty data: ./qimo down, then remove data, dagster, etc and "
            f"run in {home}."
        )
    return PROFILES[wanted or kept or SINGLE.name]


def _kept_profile(home: Path) -> str | None:
    """Return the name of the profile with which the data of a home was made; None where there is no
    data.
    """
    data = home / "data"
    if not data.exists() or not any(data.iterdir()):
        return None
    file = data / PROFILE_FILE
    # Data from before there were profiles has no such file.
    name = file.read_text().strip() if file.exists() else SINGLE.name
    if name not in PROFILES:
        raise StackError(f"{file} names the profile {name!r}; there are {', '.join(PROFILES)}.")
    return name


def _ports(profile: Profile) -> dict[str, int]:
    offset = os.environ.get("QIMO_PORT_OFFSET", str(DEFAULT_PORT_OFFSET))
    ports: dict[str, int] = {}
    for name, usual in profile.ports.items():
        variable = f"QIMO_PORT_{name.upper()}"
        text = os.environ.get(variable)
        try:
            port = int(text) if text else usual + int(offset)
        except ValueError:
            raise StackError(
                f"{variable if text else 'QIMO_PORT_OFFSET'} must be a number, not "
                f"{text or offset!r}."
            ) from None
        if not 1 <= port <= 65535:
            raise StackError(
                f"Port {port} of {name} is out of range; set {variable} or QIMO_PORT_OFFSET."
            )
        if port in ports.values():
            raise StackError(
                f"Port {port} is asked for twice, the second time for {name}; set {variable}."
            )
        ports[name] = port
    return ports


def project_file(name: str) -> Path:
    """Return the path of a file at the top of the project."""
    return PROJECT_ROOT / name
