"""An authority of one's own and the certificates that it signs: made once, kept in a directory of
their owner's alone, valid for years.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import cast

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from qimo_assets.settings import LOOPBACK, write_private
from qimo_assets.stack.layout import Layout

AUTHORITY = "qimo"
VALID = timedelta(days=3650)
# A clock that is set back by less finds no certificate of the future.
SLACK = timedelta(days=1)


@dataclass(frozen=True)
class Authority:
    """A certificate authority in a directory of its own."""

    directory: Path

    def __post_init__(self) -> None:
        """Make it, unless it is there."""
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not self._own.exists():
            self._make()

    @property
    def ca(self) -> Path:
        """Its own certificate, a PEM file: who takes this takes whatever it signed."""
        return self.directory / "ca.pem"

    def issue(self, name: str, host: str = LOOPBACK) -> Path:
        """Return a PEM file with a private key and its certificate, of a server or of a client;
        both are made at the first call.

        Args:
            name: Who it is, and the file's name.
            host: Name or address at which clients reach it.
        """
        path = self.directory / f"{name}.pem"
        if not path.exists():
            content = self._own.read_bytes()
            signer = x509.load_pem_x509_certificate(content)
            signing = cast("EllipticCurvePrivateKey", load_pem_private_key(content, None))
            key = _new_key()
            builder = (
                _builder(name, signer.subject, key)
                .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
                .add_extension(x509.SubjectAlternativeName([_general_name(host)]), critical=False)
                .add_extension(
                    x509.AuthorityKeyIdentifier.from_issuer_public_key(signing.public_key()),
                    critical=False,
                )
                .add_extension(
                    x509.ExtendedKeyUsage(
                        [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
                    ),
                    critical=False,
                )
            )
            _write(path, _pem(key) + _pem(builder.sign(signing, hashes.SHA256())))
        return path

    @property
    def _own(self) -> Path:
        return self.directory / "authority.pem"

    def _make(self) -> None:
        key = _new_key()
        builder = (
            _builder(AUTHORITY, _distinguished(AUTHORITY), key)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(
                x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False
            )
            .add_extension(_signs_certificates(), critical=True)
        )
        certificate = _pem(builder.sign(key, hashes.SHA256()))
        _write(self.ca, certificate)
        # Last: it tells that all is there.
        _write(self._own, _pem(key) + certificate)


def authority(layout: Layout) -> Authority:
    """Return the authority of a secured stack."""
    return Authority(layout.secrets / "tls")


def own_certificate(layout: Layout) -> Path:
    """Return the certificate with which a secured stack itself enters where clients need a
    password.
    """
    return authority(layout).issue("stack")


def _new_key() -> EllipticCurvePrivateKey:
    # A handshake costs a server of this machine a fraction of what it costs with RSA, and Dagster
    # opens a connection for each query.
    return ec.generate_private_key(ec.SECP256R1())


def _builder(name: str, issuer: x509.Name, key: EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = datetime.now(timezone.utc)
    return (
        x509.CertificateBuilder()
        .subject_name(_distinguished(name))
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - SLACK)
        .not_valid_after(now + VALID)
    )


def _signs_certificates() -> x509.KeyUsage:
    others = (
        "digital_signature",
        "content_commitment",
        "key_encipherment",
        "data_encipherment",
        "key_agreement",
        "encipher_only",
        "decipher_only",
    )
    return x509.KeyUsage(key_cert_sign=True, crl_sign=True, **dict.fromkeys(others, False))


def _distinguished(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _pem(what: EllipticCurvePrivateKey | x509.Certificate) -> str:
    if isinstance(what, x509.Certificate):
        return what.public_bytes(Encoding.PEM).decode()
    return what.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def _write(path: Path, text: str) -> None:
    """Write a file that is there as a whole or not at all."""
    unfinished = path.with_suffix(".unfinished")
    write_private(unfinished, text)
    unfinished.replace(path)
