"""The streaming job by a contract of one field more, as a release has it after the servers began to
write the field.
"""

from __future__ import annotations

import sys

from qimo_assets import contract

APP_VERSION = contract.Field("app_version", "text", "客户端版本", added=True)


def main() -> None:
    """Change the contract before anything is derived from it, and run."""
    contract.FIELDS = (*contract.FIELDS, APP_VERSION)
    from qimo_assets_tests.lakes import driver

    driver.main(sys.argv[1:])


if __name__ == "__main__":
    main()
