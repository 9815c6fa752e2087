"""Clocks, keys and requests for the tests of certificates and of those who ask for them."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from gateway.ca import issue, keys, ring, sign
from gateway.ca.keys import Authorities
from gateway.model.identity import Identity, Route, Use

CLUSTER = "example"
NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
ROUTE = Route("sales", "postgres", "ada", "orders")


@dataclass
class FakeClock:
    """A clock that stands still until it is told to move."""

    moment: datetime = NOW

    def now_ns(self) -> int:
        return int(self.moment.timestamp()) * 1_000_000_000

    def monotonic(self) -> float:
        return self.moment.timestamp()

    def move(self, by: timedelta) -> None:
        self.moment += by


@cache
def authorities(cluster: str = CLUSTER) -> Authorities:
    """One set of authorities for all tests that only read it."""
    return keys.make(cluster, FakeClock())


def new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def request_for(key: ec.EllipticCurvePrivateKey | None = None, name: str = "root") -> str:
    """A certificate request that claims a name nobody gave its sender."""
    builder = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    )
    return builder.sign(key or new_key(), hashes.SHA256()).public_bytes(Encoding.PEM).decode()


def parsed(pem: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate(pem.encode())


def login(
    of: Authorities | None = None,
    key: ec.EllipticCurvePrivateKey | None = None,
    *,
    user: str = "ada",
    ttl: timedelta = timedelta(hours=8),
    now: datetime = NOW,
) -> x509.Certificate:
    issued = issue.issue_login(
        (of or authorities()).user,
        user=user,
        roles=("access", "reader"),
        traits={"db_users": ["ada", "reader"]},
        public_key=(key or new_key()).public_key(),
        ttl=ttl,
        now=now,
    )
    return parsed(issued.pem)


def login_identity(*, user: str = "ada", expires: datetime = NOW + timedelta(hours=8)) -> Identity:
    return Identity(
        user=user,
        roles=("access", "reader"),
        traits={"db_users": ("ada", "reader")},
        cluster=CLUSTER,
        use=Use.USER,
        expires=expires,
        login_expires=expires,
        serial="1",
    )


def minted_login(of: Authorities | None = None, *, now: datetime = NOW) -> sign.MintedCertificate:
    """A login with its key, as a client would hold it."""
    key = new_key()
    issued = issue.issue_login(
        (of or authorities()).user,
        user="ada",
        roles=(),
        traits={},
        public_key=key.public_key(),
        ttl=timedelta(hours=8),
        now=now,
    )
    return sign.MintedCertificate(issued.pem, ring.key_pem(key).decode(), issued.serial, issued.expires)


def new_authorities(clock: FakeClock) -> Authorities:
    return keys.make(CLUSTER, clock)
