"""The account with which the platform enters a secured Kafka; the stack makes it with its own
certificate, so that no command line has its password.
"""

from __future__ import annotations

from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._scram import (
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)

from qimo_assets.stack import health
from qimo_assets.stack.layout import Layout

KAFKA_ACCOUNT = "qimo"
# The least that Kafka takes, and enough for a password of 192 bits by chance.
ITERATIONS = 4096
TIMEOUT_SECONDS = 30


def make_kafka_account(layout: Layout) -> None:
    """Make the account, or give it the password that it has in the settings."""
    info = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, ITERATIONS)
    account = UserScramCredentialUpsertion(
        KAFKA_ACCOUNT, info, layout.secret("kafka_qimo").encode()
    )
    admin = AdminClient(health.kafka_client(layout, layout.profile.brokers[0]))
    admin.alter_user_scram_credentials([account])[KAFKA_ACCOUNT].result(timeout=TIMEOUT_SECONDS)
