"""A private key that is encrypted as Kafka's PEM reader takes it; the library that makes the
certificates cannot write it, openssl can.
"""

from __future__ import annotations

import subprocess
from pathlib import Path


def encrypted(pem: Path, password: str) -> Path:
    """Return a copy of a PEM file, of a key and its certificate, whose key is encrypted."""
    copy = pem.with_suffix(".encrypted.pem")
    # The one scheme that Kafka's PEM reader takes on Java 17 (KAFKA-12812: PBES2 is unknown to it).
    command = (
        "openssl",
        "pkcs8",
        "-topk8",
        "-v1",
        "PBE-SHA1-3DES",
        "-in",
        pem,
        "-out",
        copy,
        "-passout",
        f"pass:{password}",
    )
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    text = pem.read_text()
    copy.write_text(copy.read_text() + text[text.index("-----BEGIN CERTIFICATE-----") :])
    return copy
