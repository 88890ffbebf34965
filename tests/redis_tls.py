"""A server with TLS and certificates that are made on the spot; for the tests marked `tls`.

By the command of OpenSSL and no package of Python: only those tests need it, and where they run the
server with TLS comes from the system's packages, as that command does. The one from pip has no TLS.
"""

from __future__ import annotations

import shutil
import ssl
import subprocess
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import pytest

from tests.redis_program import free_port
from tests.redis_server import RunningServer, Server

#: Strict clients (Python 3.13) want all of this of an authority.
_OPTIONS: Final = """
[req]
distinguished_name = name
x509_extensions = extensions
prompt = no
[name]
CN = {name}
[extensions]
basicConstraints = critical, CA:TRUE
keyUsage = critical, digitalSignature, keyCertSign
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
subjectAltName = {alternatives}
"""


class Certificate:
    """One that nobody signed but itself: who trusts it takes ``certificate`` as the authority."""

    def __init__(
        self, folder: Path, name: str, alternatives: str = "IP:127.0.0.1,DNS:localhost"
    ) -> None:
        self.certificate = folder / f"{name}.pem"
        self.key = folder / f"{name}.key"
        if (openssl := shutil.which("openssl")) is None:
            pytest.fail("the tests with TLS need the command openssl: `apt-get install openssl`")
        options = folder / f"{name}.conf"
        options.write_text(_OPTIONS.format(name=name, alternatives=alternatives), encoding="utf-8")
        command = f"{openssl} req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"
        files = ["-config", str(options), "-keyout", str(self.key), "-out", str(self.certificate)]
        subprocess.run([*command.split(), "-days", "2", *files], check=True, capture_output=True)

    def context(self, *, identity: Certificate | None = None) -> ssl.SSLContext:
        """For a client that trusts this one alone, and shows ``identity``."""
        context = ssl.create_default_context(cafile=self.certificate)
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        if identity is not None:
            context.load_cert_chain(identity.certificate, identity.key)
        return context


class TlsServer(Server):
    """With a TLS port besides; ``clients``: whose certificate a client has to show there.

    ``url`` leads to the TLS port, ``client`` uses the unix socket. If the program has no TLS, it
    does not start, and the test fails.
    """

    def __init__(self, own: Certificate, *, clients: Certificate | None = None) -> None:
        self.tls_port = free_port()
        super().__init__(
            tls_port=str(self.tls_port),
            tls_cert_file=str(own.certificate),
            tls_key_file=str(own.key),
            tls_ca_cert_file=str((clients or own).certificate),
            tls_auth_clients="yes" if clients else "no",
        )
        self.tls = own.context()

    def url(self, queue: str = "default", *, port: int | None = None, **more: str) -> str:
        return super().url(queue, port=port or self.tls_port, **more)


class TlsClient(RunningServer):
    """The way to a server with TLS as somebody takes who has only its URL and a context."""

    def __init__(self, url: str, context: ssl.SSLContext) -> None:
        super().__init__(url)
        assert urlsplit(url).scheme == "rediss"
        self.tls = context
