"""Who a certificate names, and whether it may stand where it stands.

``from_certificate`` reads what a certificate says and checks its dates; it trusts whoever verified the
chain. ``from_chain`` verifies everything itself, against one authority (or the two of a rotation), and
needs no TLS library: 1. the issuer is one of the cluster's four authorities, and valid now; 2. it signed
this certificate directly; 3. the certificate is no authority; 4. its use belongs to that authority and is
one of those wanted here; 5. its TLS purposes are exactly those of that use; 6. the cluster it claims is
the issuer's.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

from gateway.ca.authority import Authority, describe, key_id_of
from gateway.ca.profile import EXTENSION, PROFILES
from gateway.errors import CertificateError
from gateway.model.identity import Identity, Lineage, Route, Use

# What the certificate parser raises; not all of it is a ValueError.
_UNREADABLE = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.ExtensionNotFound,
    x509.UnsupportedGeneralNameType,
)


def from_certificate(certificate: x509.Certificate | bytes, *, now: datetime) -> Identity:
    """The identity in a certificate (or its DER bytes) whose chain somebody has verified already."""
    parsed = _parse(certificate)
    _within_dates(parsed, now, "certificate")
    claims = _claims(parsed)
    try:
        return _identity(parsed, claims)
    except (LookupError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise CertificateError("certificate carries an identity that cannot be read") from error


def from_chain(
    certificate: x509.Certificate | bytes,
    *issuers: Authority | x509.Certificate,
    uses: tuple[Use, ...],
    now: datetime,
) -> Identity:
    """The identity in a certificate that one of *issuers* signed for one of *uses*; anything else is refused.

    Several issuers are the authorities of one kind during a rotation; which of them counts, the
    certificate's own reference says, and the signature proves.
    """
    parsed = _parse(certificate)
    anchors = [issuer.certificate if isinstance(issuer, Authority) else issuer for issuer in issuers]
    anchor = _issuer_of(parsed, anchors)
    kind, cluster = describe(anchor)
    _within_dates(anchor, now, "issuer")
    try:
        parsed.verify_directly_issued_by(anchor)
    except (InvalidSignature, *_UNREADABLE) as error:
        raise CertificateError(f"certificate is not signed by the {kind} authority of {cluster}") from error
    identity = from_certificate(parsed, now=now)
    verify_use(identity, *uses)
    profile = PROFILES[identity.use]
    if profile.authority is not kind:
        raise CertificateError(f"the {kind} authority may not sign {identity.use} certificates")
    _has_leaf_profile(parsed, identity.use)
    if identity.cluster != cluster:
        raise CertificateError(f"certificate claims cluster {identity.cluster}, its issuer is of {cluster}")
    return identity


def service_of(certificate: bytes) -> str:
    """As which service somebody joined who shows this (DER); empty for all others, the web's among them.

    Nothing is verified; a CertificateError says that it cannot be read.
    """
    try:
        parsed = x509.load_der_x509_certificate(certificate)
        parsed.extensions.get_extension_for_oid(EXTENSION)
    except x509.ExtensionNotFound:
        return ""
    except _UNREADABLE as error:
        raise CertificateError("certificate cannot be read") from error
    try:
        return _text(_claims(parsed).get("service", ""))
    except TypeError as error:
        raise CertificateError("certificate carries an identity that cannot be read") from error


def verify_use(identity: Identity, *uses: Use) -> None:
    """Refuse an identity whose certificate is for something else than *uses*."""
    if identity.use not in uses:
        wanted = " or ".join(uses)
        raise CertificateError(f"a {identity.use} certificate was shown where a {wanted} one is needed")


def verify_trust(identity: Identity, cluster: str) -> None:
    """Refuse an identity of another cluster."""
    if identity.cluster != cluster:
        raise CertificateError(f"certificate is of cluster {identity.cluster}, this is {cluster}")


def _parse(certificate: x509.Certificate | bytes) -> x509.Certificate:
    if isinstance(certificate, x509.Certificate):
        return certificate
    try:
        parsed = x509.load_der_x509_certificate(certificate)
    except _UNREADABLE as error:
        raise CertificateError("certificate cannot be read") from error
    if certificate[-len(parsed.signature) - 1] != 0:
        # The octet before the signature counts unused bits (X.690, 8.6.2). It is not signed and OpenSSL skips
        # it, so that other bytes would pass as the same certificate. A signature of whole octets has none.
        raise CertificateError("certificate cannot be read: its signature is not of whole octets")
    return parsed


def _issuer_of(certificate: x509.Certificate, anchors: list[x509.Certificate]) -> x509.Certificate:
    """The anchor that the certificate names as its issuer; the first one where it names none of them."""
    if not anchors:
        raise CertificateError("no authority is trusted here")
    if len(anchors) == 1:
        return anchors[0]
    named = _issuer_key_id(certificate)
    return next((anchor for anchor in anchors if named and key_id_of(anchor) == named), anchors[0])


def _within_dates(certificate: x509.Certificate, now: datetime, what: str) -> None:
    start, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if now < start:
        raise CertificateError(f"{what} is not valid before {start:%Y-%m-%d %H:%M:%SZ}; check the clocks")
    if now >= end:
        raise CertificateError(f"{what} expired at {end:%Y-%m-%d %H:%M:%SZ}")


def _claims(certificate: x509.Certificate) -> Mapping[str, Any]:
    try:
        extension = certificate.extensions.get_extension_for_oid(EXTENSION).value
    except _UNREADABLE as error:
        raise CertificateError("certificate carries no identity") from error
    assert isinstance(extension, x509.UnrecognizedExtension)
    try:
        claims = json.loads(extension.value)
    except (ValueError, RecursionError) as error:
        raise CertificateError("certificate carries an identity that cannot be read") from error
    if not isinstance(claims, dict) or claims.get("v") != 1 or "use" not in claims:
        raise CertificateError("certificate carries an identity of a form this version does not know")
    return claims


def _identity(certificate: x509.Certificate, claims: Mapping[str, Any]) -> Identity:
    use = Use(claims["use"])
    expires = certificate.not_valid_after_utc
    login_expires = expires
    if use in {Use.USER, Use.DATABASE, Use.SESSION}:
        login_expires = datetime.fromtimestamp(_whole(claims["login_expires"]), UTC)
    return Identity(
        user=_text(claims["names"][0] if use in {Use.HOST, Use.DB_SERVER} else claims["user"]),
        roles=_texts(claims.get("roles", [])),
        traits={_text(name): _texts(values) for name, values in claims.get("traits", {}).items()},
        cluster=_text(claims["cluster"]),
        use=use,
        expires=expires,
        login_expires=login_expires,
        serial=f"{certificate.serial_number:032x}",
        route=_route(claims["route"]) if use in {Use.DATABASE, Use.SESSION} else None,
        key_id=_issuer_key_id(certificate),
        login_address=_text(claims.get("login_address", "")),
        agent=_text(claims["agent"]) if use is Use.SESSION else "",
        client_address=_text(claims["client_address"]) if use is Use.SESSION else "",
        service=_text(claims.get("service", "")) if use is Use.HOST else "",
        lineage=_lineage(claims["bot"]) if use is Use.USER and "bot" in claims else None,
    )


def _lineage(claim: Mapping[str, Any]) -> Lineage:
    return Lineage(instance=_text(claim["instance"]), generation=_whole(claim["generation"]))


def _route(claim: Mapping[str, Any]) -> Route:
    return Route(
        database=_text(claim["database"]),
        protocol=_text(claim["protocol"]),
        db_user=_text(claim["db_user"]),
        db_name=_text(claim["db_name"]),
    )


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("expected text")
    return value


def _texts(value: object) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise TypeError("expected a list")
    return tuple(_text(item) for item in value)


def _whole(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError("expected a whole number")
    return value


def _issuer_key_id(certificate: x509.Certificate) -> str:
    try:
        extension = certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier)
    except _UNREADABLE:
        return ""
    return (extension.value.key_identifier or b"").hex()


def _has_leaf_profile(certificate: x509.Certificate, use: Use) -> None:
    try:
        basic = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
        purposes = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except _UNREADABLE as error:
        raise CertificateError(f"certificate lacks what a {use} certificate must say") from error
    if basic.ca or usage.key_cert_sign:
        raise CertificateError("certificate is an authority's, not a leaf")
    if set(purposes) != set(PROFILES[use].purposes):
        raise CertificateError(f"certificate has other TLS purposes than a {use} certificate")
