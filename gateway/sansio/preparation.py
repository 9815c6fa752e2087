"""What a database server needs before the gateway can log in to it: for ``regate doctor``, word for word."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Preparation:
    """The lines for the server's own files, and what to do about what it says.

    ``remedies`` are looked through in order: words of an error in lower case, and the remedy. ``lets_in`` is
    the remedy for a server that serves whoever shows no certificate.
    """

    lines: str = ""
    remedies: tuple[tuple[str, str], ...] = ()
    lets_in: str = "let the server ask for a client certificate"


CAS = "must hold what regate auth export --type=db-client prints"
"""Of the file with the authorities of clients."""
EVERYWHERE = (
    ("did not answer", "is the address right, and does a firewall drop the packets?"),
    ("no address", "correct the host's name in the database's uri"),
    ("certificate", "sign one with regate auth sign --format=db, or name its CA in tls.ca_cert_file"),
)
"""Remedies that hold for any server, behind its own."""
