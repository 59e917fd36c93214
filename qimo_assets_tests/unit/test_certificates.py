"""The certificates of the stack: whom they let in, and that they are made once and are their
owner's alone.
"""

from __future__ import annotations

import ssl
import stat
from pathlib import Path

import pytest

from qimo_assets.stack.certificates import Authority


def handshake(
    server_file: Path,
    client_ca: Path,
    host: str = "127.0.0.1",
    client_file: Path | None = None,
    server_ca: Path | None = None,
) -> None:
    """Let a client meet a server without a network; raises when one of them does not take the
    other.
    """
    server, client = (
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER),
        ssl.create_default_context(cafile=str(client_ca)),
    )
    server.load_cert_chain(server_file)
    if client_file:
        client.load_cert_chain(client_file)
    if server_ca:
        server.load_verify_locations(server_ca)
        server.verify_mode = ssl.CERT_REQUIRED
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client.wrap_bio(down, up, server_hostname=host),
        server.wrap_bio(up, down, server_side=True),
    ]
    waiting = list(ends)
    for _ in range(5):
        for end in list(waiting):
            try:
                end.do_handshake()
                waiting.remove(end)
            except ssl.SSLWantReadError:
                continue
    assert not waiting


def test_a_client_takes_the_server_at_its_own_address_alone(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "tls")
    handshake(authority.issue("server"), authority.ca)
    handshake(authority.issue("named", "report.example"), authority.ca, "report.example")
    for host in ("127.0.0.2", "localhost"):
        with pytest.raises(ssl.SSLCertVerificationError):
            handshake(authority.issue("server"), authority.ca, host)


def test_a_certificate_of_another_authority_is_refused_on_both_sides(tmp_path: Path) -> None:
    ours, other = Authority(tmp_path / "ours"), Authority(tmp_path / "other")
    handshake(ours.issue("server"), ours.ca, client_file=ours.issue("client"), server_ca=ours.ca)
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(other.issue("server"), ours.ca)
    with pytest.raises(ssl.SSLError):
        handshake(
            ours.issue("server"), ours.ca, client_file=other.issue("client"), server_ca=ours.ca
        )
    with pytest.raises(ssl.SSLError):
        handshake(ours.issue("server"), ours.ca, server_ca=ours.ca)


def test_everything_is_made_once_and_is_its_owners_alone(tmp_path: Path) -> None:
    directory = tmp_path / "tls"
    Authority(directory).issue("server")
    before = {path: path.read_bytes() for path in directory.iterdir()}
    assert len(before) == 3
    Authority(directory).issue("server")
    assert {path: path.read_bytes() for path in directory.iterdir()} == before
    assert {stat.S_IMODE(path.stat().st_mode) for path in before} == {0o600}
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
