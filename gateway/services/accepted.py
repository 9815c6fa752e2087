"""The bundles that this cluster accepted, on disk: the one in force, the one before, the highest number.

Each lies there as it came, with its team's signature, and is verified again at each start: a key that was
taken out of the configuration signs nothing any more. OPA gets a copy under the cluster's own signature,
because it verifies all of its bundles with one key.
"""

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey, EllipticCurvePublicKey

from gateway.errors import ConfigError, ConflictError, PolicyError
from gateway.files import replace_private
from gateway.policy import admission, publish, signing
from gateway.policy.admission import Admitted
from gateway.policy.publish import Bundle

_STATE = "accepted.json"


@dataclass(frozen=True, slots=True)
class State:
    """Numbers of bundles; 0 for the one that is built here."""

    current: int = 0
    previous: int = 0
    highest: int = 0


class Accepted:
    """What lies in *folder*. All methods block."""

    def __init__(self, folder: Path, opa: Path, own: EllipticCurvePrivateKey, keys: Sequence[Path]) -> None:
        self._folder = folder
        self._opa = opa
        self._own = own
        self._keys = keys

    def state(self) -> State:
        """What is in force; PolicyError when it cannot be read."""
        try:
            value = json.loads((self._folder / _STATE).read_text(encoding="utf-8"))
            return State(int(value["current"]), int(value["previous"]), int(value["highest"]))
        except FileNotFoundError:
            return State()
        except (OSError, ValueError, KeyError, TypeError) as error:
            # Beginning again would let an older bundle pass for a newer one.
            raise PolicyError(f"{self._folder / _STATE}: the accepted bundles cannot be read") from error

    def keys(self) -> list[EllipticCurvePublicKey]:
        """The keys that may sign; ConfigError when one cannot be read."""
        return [signing.public_key(path) for path in self._keys]

    def admit(self, content: bytes) -> Admitted:
        """Look at a bundle that somebody sent; errors as in ``admission.admit``."""
        return admission.admit(self._opa, content, self.keys())

    def check_newer(self, offered: Admitted, in_force: int) -> None:
        """ConflictError unless its number is higher than any that this cluster has had."""
        most = max(self.state().highest, in_force)
        if offered.number <= most:
            raise ConflictError(
                f"revision {offered.revision} is not higher than {most}, which this cluster has had",
                hint=f"build it with --number={most + 1}; the way back is regate policy rollback",
            )

    def current(self) -> Bundle | None:
        """The accepted bundle in force, ready for OPA; None when there is none.

        Raises:
            ConfigError, AccessError: it is not signed by a key that may sign, or does not fit this version.
        """
        number = self.state().current
        return self.ready(self.load(number)) if number else None

    def load(self, number: int) -> Admitted:
        """One that was accepted, looked at again."""
        try:
            content = self._place(number).read_bytes()
        except OSError as error:
            reason = os.strerror(error.errno or 0).lower()
            raise ConfigError(
                f"the accepted bundle {self._place(number)} cannot be read: {reason}"
            ) from error
        return self.admit(content)

    def ready(self, admitted: Admitted) -> Bundle:
        """A copy for OPA, under the cluster's signature."""
        received = self._place(admitted.number)
        received.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        replace_private(received, admitted.content)
        out = received.with_name(f"own-{admitted.number}.tar.gz")
        signing.sign(self._opa, received, out, self._own)
        pem = publish.write_public_key(out.with_suffix(".pem"), self._own)
        return Bundle(out, admitted.revision, admitted.number, pem)

    def took_effect(self, number: int) -> None:
        """From now on *number* is in force (0: the one that is built here)."""
        was = self.state()
        now = State(number, was.current, max(was.highest, number))
        replace_private(self._folder / _STATE, json.dumps(asdict(now)).encode())

    def _place(self, number: int) -> Path:
        return self._folder / "accepted" / f"{number}.tar.gz"
