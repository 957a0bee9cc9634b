"""Server certificates: trusted authorities, and reasons for failed verification."""

import importlib
import importlib.util
import logging
import socket
import ssl
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

logger = logging.getLogger(__name__)

_BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)


def tls_options(insecure: bool) -> dict[str, str]:
    """Return options of ``av.open`` that verify certificates and host names, or accept any certificate."""
    if insecure:
        return {"tls_verify": "0"}
    bundle = authorities()
    return {"tls_verify": "1", **({"ca_file": bundle} if bundle is not None else {})}


def authorities() -> str | None:
    """Return the file with trusted authorities, None if the TLS library has its own.

    ``SSL_CERT_FILE`` in the environment comes first, then the system's file, then that of the package certifi.
    """
    chosen = ssl.get_default_verify_paths().cafile
    return chosen if chosen is not None else _installed()


@lru_cache(maxsize=1)
def _installed() -> str | None:
    for bundle in _BUNDLES:
        if Path(bundle).is_file():
            return bundle
    with suppress(ImportError, OSError):
        if importlib.util.find_spec("certifi") is not None:
            return str(importlib.import_module("certifi").where())
    return None


def certificate_problem(host: str, port: int, seconds: float) -> str:
    """Return why the certificate of a server cannot be verified, "" if it can or the server does not answer."""
    context = ssl.create_default_context(cafile=authorities())
    try:
        with (
            socket.create_connection((host, port), timeout=seconds) as connection,
            context.wrap_socket(connection, server_hostname=host),
        ):
            return ""
    except ssl.SSLCertVerificationError as error:
        return str(error.verify_message).rstrip(".") or "it is not valid"
    except (OSError, ValueError) as error:
        logger.debug("There is no certificate to look at: %s", error)  # its context may contain the address
        return ""
