"""Certificates of a test's own authority, made with openssl."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Authority:
    """A certificate authority in a directory of its own."""

    directory: Path

    def __post_init__(self) -> None:
        self.directory.mkdir(exist_ok=True)
        self._openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", self.directory / "ca.key", "-out", self.ca, "-subj", "/CN=test", "-days", "2")

    @property
    def ca(self) -> Path:
        """Its own certificate."""
        return self.directory / "ca.pem"

    def issue(self, name: str, address: str = "IP:127.0.0.1") -> Path:
        """Return a PEM file with a new key and its certificate for an address."""
        key, request, certificate, both = (self.directory / f"{name}.{ending}" for ending in ("key", "csr", "crt", "pem"))
        self._openssl("req", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", request, "-subj", f"/CN={name}", "-addext", f"subjectAltName={address}")
        signed = ("-CA", self.ca, "-CAkey", self.directory / "ca.key", "-CAcreateserial", "-days", "2", "-copy_extensions", "copy")
        self._openssl("x509", "-req", "-in", request, "-out", certificate, *signed)
        both.write_text(key.read_text() + certificate.read_text())
        return both

    def encrypt(self, pem: Path, password: str) -> Path:
        """Return a copy of a PEM file whose key is encrypted."""
        encrypted = pem.with_suffix(".encrypted.pem")
        # The one scheme that Kafka's PEM reader takes on Java 17 (KAFKA-12812: PBES2 is unknown to it).
        self._openssl("pkcs8", "-topk8", "-v1", "PBE-SHA1-3DES", "-in", pem, "-out", encrypted, "-passout", f"pass:{password}")
        encrypted.write_text(encrypted.read_text() + pem.with_suffix(".crt").read_text())
        return encrypted

    def _openssl(self, *arguments: str | Path) -> None:
        subprocess.run(["openssl", *arguments], check=True, capture_output=True, timeout=60)
