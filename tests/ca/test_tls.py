"""Real handshakes, in memory: what OpenSSL refuses with our settings, and what it lets through."""

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.ca import identity, issue, tls
from gateway.ca.authority import Authority
from gateway.ca.keys import Authorities, make
from gateway.ca.profile import Kind
from gateway.ca.sign import MintedCertificate, minted
from gateway.clock import SystemClock
from gateway.model.identity import Use
from tests.ca.material import CLUSTER, minted_login, new_key, parsed
from tests.servers import certificates

HOUR = timedelta(hours=1)


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Authorities:
    return make(CLUSTER, SystemClock())


def _now() -> datetime:
    return datetime.now(UTC)


def _pem(authority: Authority) -> str:
    return authority.certificate.public_bytes(Encoding.PEM).decode()


def _all(ours: Authorities) -> dict[Use, MintedCertificate]:
    return {
        Use.USER: minted_login(ours, now=_now()),
        Use.HOST: issue.mint_host(ours.host, names=["localhost"], now=_now()),
        Use.DB_SERVER: issue.issue_db_server(ours.db, hosts=["localhost"], ttl=HOUR, now=_now()),
        Use.DB_CLIENT: issue.mint_db_client(
            ours.db_client, cluster=CLUSTER, db_user="ada", ttl=HOUR, now=_now()
        ),
    }


class Handshake:
    """Two TLS ends that talk through memory."""

    def __init__(
        self,
        server: ssl.SSLContext,
        client: ssl.SSLContext,
        name: str = "localhost",
        session: ssl.SSLSession | None = None,
    ) -> None:
        up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.server = server.wrap_bio(up, down, server_side=True)
        self.client = client.wrap_bio(down, up, server_hostname=name, session=session)
        done = set[str]()
        for _ in range(10):
            for side, end in (("client", self.client), ("server", self.server)):
                try:
                    end.do_handshake()
                    done.add(side)
                except ssl.SSLWantReadError:
                    continue
            if len(done) == 2:
                return
        raise AssertionError("the handshake does not end")

    def finish(self) -> None:
        """Let TLS 1.3's messages after the handshake arrive (a refusal, session tickets)."""
        self.server.write(b"x")
        assert self.client.read(1) == b"x"
        self.client.write(b"y")
        assert self.server.read(1) == b"y"


def _place(use: Use, ours: Authorities, shown: MintedCertificate) -> Handshake:
    """Show a certificate where one for *use* belongs."""
    everything = _all(ours)
    match use:
        case Use.USER:
            server = tls.server_context(everything[Use.HOST], _pem(ours.user))
            return Handshake(server, tls.backend_context(_pem(ours.host), shown))
        case Use.HOST:
            return Handshake(_plain_server(shown), tls.backend_context(_pem(ours.host)))
        case Use.DB_SERVER:
            return Handshake(_plain_server(shown), tls.backend_context(_pem(ours.db)))
        case _:
            server = _plain_server(everything[Use.DB_SERVER])
            server.verify_mode = ssl.CERT_REQUIRED
            server.load_verify_locations(cadata=_pem(ours.db_client))
            return Handshake(server, tls.backend_context(_pem(ours.db), shown))


def _plain_server(certificate: MintedCertificate) -> ssl.SSLContext:
    """A server as anybody would configure one."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls._load(context, certificate)
    return context


FOUR = (Use.USER, Use.HOST, Use.DB_SERVER, Use.DB_CLIENT)


@pytest.mark.parametrize("place", FOUR, ids=lambda use: f"at-{use}")
@pytest.mark.parametrize("use", FOUR, ids=str)
def test_tls_itself_takes_a_certificate_in_its_own_place_only(
    ours: Authorities, use: Use, place: Use
) -> None:
    shown = _all(ours)[use]
    if use is place:
        _place(place, ours, shown).finish()
    else:
        with pytest.raises(ssl.SSLError):
            _place(place, ours, shown).finish()


def _of_a_service(ours: Authorities, service: str) -> MintedCertificate:
    key = new_key()
    issued = issue.issue_host(
        ours.host, names=["localhost"], public_key=key.public_key(), ttl=HOUR, now=_now(), service=service
    )
    return minted(issued, key)


@pytest.mark.parametrize("service", ["proxy", "db"])
def test_no_service_that_joined_answers_for_the_cluster_itself(ours: Authorities, service: str) -> None:
    server = _plain_server(_of_a_service(ours, service))
    Handshake(server, tls.backend_context(_pem(ours.host))).finish()
    with pytest.raises(ssl.SSLCertVerificationError, match=f"certificate of a {service} service"):
        Handshake(server, tls.towards_the_cluster_itself(tls.backend_context(_pem(ours.host)))).finish()


def test_the_cluster_itself_and_the_web_are_spoken_to(ours: Authorities, tmp_path: Path) -> None:
    context = tls.towards_the_cluster_itself(tls.backend_context(_pem(ours.host)))
    Handshake(_plain_server(_all(ours)[Use.HOST]), context).finish()
    web = certificates.Authority(tmp_path / "web", "public-ca")
    files = web.server()
    shown = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    shown.load_cert_chain(files.certificate, files.key)
    Handshake(shown, tls.towards_the_cluster_itself(tls.backend_context(web.ca.read_text()))).finish()


def test_the_server_sees_who_the_client_is(ours: Authorities) -> None:
    der = _place(Use.USER, ours, minted_login(ours, now=_now())).server.getpeercert(binary_form=True)
    assert der is not None
    assert identity.from_chain(der, ours.user, uses=(Use.USER,), now=_now()).user == "ada"


def test_a_client_without_a_certificate_is_let_in_as_nobody(ours: Authorities) -> None:
    server = tls.server_context(_all(ours)[Use.HOST], _pem(ours.user), alpn=["http/1.1"])
    handshake = Handshake(server, tls.backend_context(_pem(ours.host), alpn=["http/1.1"]))
    handshake.finish()
    assert handshake.server.getpeercert(binary_form=True) is None
    assert handshake.server.selected_alpn_protocol() == "http/1.1"


def test_an_expired_login_is_refused_in_the_handshake(ours: Authorities) -> None:
    with pytest.raises(ssl.SSLError, match=r"(?i)expired"):
        _place(Use.USER, ours, minted_login(ours, now=_now() - timedelta(hours=9))).finish()


@pytest.mark.parametrize("name", ["other.example", "127.0.0.1", "localhost.example"])
def test_a_backend_of_another_name_is_refused(ours: Authorities, name: str) -> None:
    server = _plain_server(_all(ours)[Use.DB_SERVER])
    with pytest.raises(ssl.SSLCertVerificationError):
        Handshake(server, tls.backend_context(_pem(ours.db)), name)


def test_the_common_name_does_not_count_as_a_backends_name(ours: Authorities) -> None:
    """The first host is the common name too; a certificate whose alternative names lack it is refused."""
    minted = issue.mint_db_client(ours.db_client, cluster=CLUSTER, db_user="localhost", ttl=HOUR, now=_now())
    context = tls.backend_context(_pem(ours.db_client))
    assert context.hostname_checks_common_name is False
    with pytest.raises(ssl.SSLCertVerificationError):
        Handshake(_plain_server(minted), context)


def _twice(ours: Authorities, version: ssl.TLSVersion) -> tuple[MintedCertificate, Handshake]:
    """A client that comes back and offers to resume."""
    server, shown = tls.server_context(_all(ours)[Use.HOST], _pem(ours.user)), minted_login(ours, now=_now())
    client = tls.backend_context(_pem(ours.host), shown)
    client.maximum_version = version
    first = Handshake(server, client)
    first.finish()
    again = Handshake(server, client, session=first.client.session)
    again.finish()
    return shown, again


def test_tls_1_3_does_not_resume(ours: Authorities) -> None:
    assert _twice(ours, ssl.TLSVersion.TLSv1_3)[1].client.session_reused is False


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_client_that_comes_back_is_known_by_the_same_certificate(
    ours: Authorities, version: ssl.TLSVersion
) -> None:
    """So that nothing that is checked of a certificate is skipped, whether OpenSSL resumed or not."""
    shown, again = _twice(ours, version)
    der = again.server.getpeercert(binary_form=True)
    assert der == parsed(shown.cert_pem).public_bytes(Encoding.DER)


def test_tls_before_1_2_is_not_spoken(ours: Authorities) -> None:
    server = tls.server_context(_all(ours)[Use.HOST], _pem(ours.user))
    assert server.minimum_version is ssl.TLSVersion.TLSv1_2
    assert tls.backend_context(_pem(ours.db)).minimum_version is ssl.TLSVersion.TLSv1_2


def test_renegotiation_and_compression_are_off(ours: Authorities) -> None:
    for context in (
        tls.server_context(_all(ours)[Use.HOST], _pem(ours.user)),
        tls.backend_context(_pem(ours.db)),
    ):
        assert context.options & ssl.OP_NO_RENEGOTIATION
        assert context.options & ssl.OP_NO_COMPRESSION


def test_a_backend_is_always_verified(ours: Authorities) -> None:
    context = tls.backend_context(_pem(ours.db))
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname is True


def test_keys_do_not_stay_open_behind(ours: Authorities) -> None:
    def memory_files() -> int:
        links = [link for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
        return sum("memfd:regate" in str(link.readlink()) for link in links)

    before = memory_files()
    for kind in Kind:
        tls.backend_context(_pem(ours.by_kind(kind)), minted_login(ours, now=_now()))
    assert memory_files() == before
