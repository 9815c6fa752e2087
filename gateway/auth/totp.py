"""Time-based one-time codes (RFC 6238): six digits, thirty seconds, one step of tolerance each way.

That each step counts once is the store's part: ``matching_step`` names the step, and the caller uses it up.
"""

import hmac

import pyotp

STEP_SECONDS = 30
_TOLERANCE = 1


def new_secret() -> str:
    """160 random bits in base 32."""
    return pyotp.random_base32()


def uri(secret: str, *, user: str, cluster: str) -> str:
    """What an authenticator app reads from a QR code."""
    return pyotp.TOTP(secret).provisioning_uri(name=user, issuer_name=cluster)


def matching_step(secret: str, code: str, *, now_seconds: int) -> int | None:
    """The step for which *code* is right, the newest first; None when it is for none."""
    given = code.strip().replace(" ", "")
    if len(given) != 6 or not given.isascii() or not given.isdigit():
        return None
    current = now_seconds // STEP_SECONDS
    generator = pyotp.TOTP(secret)
    found = None
    for step in range(max(0, current - _TOLERANCE), current + _TOLERANCE + 1):
        if hmac.compare_digest(generator.generate_otp(step), given):
            found = step
    return found
