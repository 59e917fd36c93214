"""What a container of the platform's image runs: `python -m qimo_assets.container ROLE
[ARGUMENTS]`.

A role is one of the project's own commands. Here it only gets what the image knows and a settings
file need not, where Java and the jars are, and this process becomes it. Where it listens and which
file it reads are the arguments; everything else is the settings' affair.
"""

from __future__ import annotations

import json
import os
import sys

import click

from qimo_assets.errors import QimoError
from qimo_assets.settings import load_settings
from qimo_assets.stack.jars import class_path
from qimo_assets.stack.java import java_home
from qimo_assets.stack.layout import Layout, current_layout
from qimo_assets.stack.services import own_commands

SETUP = "setup"


def commands(layout: Layout) -> dict[str, tuple[str, ...]]:
    """Return role -> the command that it becomes, for all but `setup`."""
    return {**own_commands(layout), "qimo": (sys.executable, "-m", "qimo_assets.cli")}


def image_settings(layout: Layout) -> dict[str, str]:
    """Return the settings that follow from where the software is installed."""
    return {
        "QIMO_SPARK__JAVA_HOME": str(java_home()),
        "QIMO_SPARK__JARS": json.dumps([str(jar) for jar in class_path(layout, "spark")]),
        "QIMO_LAKE__IP2REGION_JAR": str(class_path(layout, "ip2region")[0]),
    }


def setup() -> None:
    """Make Dagster's tables, with room enough, and the topic; may be repeated.

    Raises:
        SettingsError: A setting is missing or has a wrong value; nothing was made.
    """
    kafka = load_settings().kafka
    from qimo_assets.instance.storage import make_room
    from qimo_assets.resources.kafka import KafkaResource

    make_room()
    KafkaResource.from_settings(kafka).ensure_topic()


# A role's own options, `-h` above all, are none of this command's.
@click.command(context_settings={"ignore_unknown_options": True, "help_option_names": []})
@click.argument("role")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def main(role: str, arguments: tuple[str, ...]) -> None:
    """Become the process of a role, or prepare the systems of one's own (setup)."""
    layout = current_layout()
    for name, value in image_settings(layout).items():
        os.environ.setdefault(name, value)
    if role == SETUP:
        if arguments:
            raise click.UsageError(f"{SETUP} takes no arguments.")
        try:
            setup()
        except QimoError as error:
            raise click.ClickException(str(error)) from error
        return
    found = commands(layout).get(role)
    if found is None:
        raise click.UsageError(
            f"There is no role {role}; there are {', '.join([*commands(layout), SETUP])}."
        )
    layout.tmp.mkdir(parents=True, exist_ok=True)
    os.execv(found[0], [*found, *arguments])


if __name__ == "__main__":
    main()
