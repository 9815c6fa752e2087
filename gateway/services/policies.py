"""Which policy is in force, and how another takes its place: published, fetched, or the one before it again.

A bundle is looked at (signature, contract, number, types), tried in an OPA of its own with the cluster's
data (canaries, time, answers that are no decision), recorded, and only then put in force. Whatever fails on
the way leaves the old one in force, and is recorded.
"""

import asyncio  # noqa: TID251
import io
import tarfile
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeAlias

import yaml

from gateway.audit.log import AuditLog
from gateway.auth.authority import Auth
from gateway.ca.keys import Authorities
from gateway.clock import Clock, new_id
from gateway.config import Config
from gateway.errors import AccessError, ConflictError, PolicyError, RegateError
from gateway.model.decision import Allowed, Denied
from gateway.model.event import Event, Kind
from gateway.model.identity import Subject
from gateway.policy import publish
from gateway.policy.admission import Admitted
from gateway.policy.client import PolicyClient
from gateway.policy.evidence import Evidence
from gateway.policy.publish import Bundle
from gateway.policy.sidecar import trial, trial_filters
from gateway.policy.sidecar.remote import Remote
from gateway.policy.sidecar.supervisor import Sidecar
from gateway.services import policy
from gateway.services.accepted import Accepted
from gateway.services.evidence import InForce
from gateway.services.shadowing import Shadowing

Use: TypeAlias = Callable[[Bundle, Admitted], Awaitable[None]]
_TRIED = 100  # recorded questions that a new bundle is tried with


class Policies:
    """The cluster's policy, and what may be done about it; one change at a time."""

    def __init__(
        self,
        config: Config,
        authorities: Authorities,
        sidecar: Sidecar,
        auth: Auth,
        audit: AuditLog,
        in_force: InForce,
        clock: Clock,
        shadowing: Shadowing,
    ) -> None:
        self.changed: Callable[[], None] = lambda: None
        """Called when another policy took effect, so that the live sessions are judged again."""
        self._config = config
        self._authorities = authorities
        self._sidecar = sidecar
        self._auth = auth
        self._audit = audit
        self._in_force = in_force
        self._clock = clock
        self._shadowing = shadowing
        self._changing = asyncio.Lock()

    async def status(self) -> dict[str, Any]:
        """What is in force, and what could be gone back to."""
        accepted = await self._accepted()
        state = await asyncio.to_thread(accepted.state)
        bundle, source = self._sidecar.bundle, self._config.policy.source
        return {
            "revision": bundle.revision,
            "number": bundle.number,
            "data_revision": self._sidecar.client.revisions.data,
            "published": state.current != 0,
            "previous": state.previous,
            "highest": max(state.highest, bundle.number),
            "source": source.kind if source else "",
            "shadow": self._shadowing.status(),
            "preparing": list(self._sidecar.preparing),
        }

    async def publish(self, subject: Subject, content: bytes, source: str = "published") -> dict[str, Any]:
        """Put a signed bundle in force, and store its roles.

        Raises:
            AccessError: it is not signed by a key that may sign, or *subject* may not.
            ConfigError: it does not fit; with file and line. ConflictError: its number is not higher.
            PolicyError: OPA does not start with it. The old one stays in force each time.
        """
        await self._authorise(subject, "create")
        self._check_own()
        async with self._changing:
            accepted = await self._accepted()

            async def use(bundle: Bundle, admitted: Admitted) -> None:
                await self._replace(subject, bundle, admitted, source)

            bundle, admitted = await self._admit(accepted, content, subject, source, use)
            await asyncio.to_thread(accepted.took_effect, admitted.number)
            if self._shadowing.revision == bundle.revision:
                await self._shadowing.stop()  # what it was to tell is known now
        return {"revision": bundle.revision, "number": bundle.number, "warnings": list(admitted.warnings)}

    async def shadow(self, subject: Subject, content: bytes) -> dict[str, Any]:
        """Ask a signed bundle beside the one in force; nothing of it decides, and no role of it is stored.

        Raises:
            AccessError, ConfigError, ConflictError, PolicyError: as for ``publish``; then there is no shadow.
        """
        await self._authorise(subject, "create")
        async with self._changing:
            accepted = await self._accepted()
            bundle, admitted = await self._admit(accepted, content, subject, "shadow", self._shadowing.start)
        return {"revision": bundle.revision, "number": bundle.number, "warnings": list(admitted.warnings)}

    async def unshadow(self, subject: Subject) -> bool:
        """Ask the shadow no more; False when there was none."""
        await self._authorise(subject, "update")
        return await self._shadowing.stop()

    async def rollback(self, subject: Subject) -> dict[str, Any]:
        """Put the bundle before this one in force again, with its roles.

        Raises:
            AccessError, ConfigError, PolicyError: as for ``publish``. ConflictError: there is none.
        """
        await self._authorise(subject, "update")
        self._check_own()
        async with self._changing:
            accepted = await self._accepted()
            state = await asyncio.to_thread(accepted.state)
            if not state.current and not state.previous:
                raise ConflictError("there is no bundle to go back to: none was published")
            admitted = await asyncio.to_thread(accepted.load, state.previous) if state.previous else None
            if admitted is None:
                opa = await policy.program(self._config)
                bundle = await asyncio.to_thread(policy.built, opa, self._config, self._authorities)
            else:
                bundle = await asyncio.to_thread(accepted.ready, admitted)
            await self._replace(subject, bundle, admitted, "rollback")
            await asyncio.to_thread(accepted.took_effect, state.previous)
        return {"revision": bundle.revision, "number": bundle.number, "warnings": []}

    # -- own

    def _check_own(self) -> None:
        if isinstance(self._sidecar, Remote):
            raise ConflictError(
                "opa.address names an OPA of the operator's: its bundle cannot be changed from here",
                hint="take opa.address out while you publish or roll back (what is in force then, that OPA "
                "gets as policy/gateway.tar.gz), or give the team's policies by policy.dir",
            )

    async def _admit(
        self, accepted: Accepted, content: bytes, subject: Subject, source: str, use: Use
    ) -> tuple[Bundle, Admitted]:
        """Look at *content* and give it to *use*; whatever is against it is recorded, and raised."""
        admitted: Admitted | None = None
        try:
            admitted = await asyncio.to_thread(accepted.admit, content)
            await asyncio.to_thread(accepted.check_newer, admitted, self._sidecar.bundle.number)
            bundle = await asyncio.to_thread(accepted.ready, admitted)
            await use(bundle, admitted)
        except (RegateError, OSError) as error:
            await self._refused(subject, admitted, source, error)
            raise
        return bundle, admitted

    async def _replace(
        self, subject: Subject, bundle: Bundle, admitted: Admitted | None, source: str
    ) -> None:
        async def tried(asker: PolicyClient) -> None:
            if admitted is not None:
                await self._try(asker, admitted)
            await self._took_effect(subject, bundle, admitted, source)
            if admitted is not None and admitted.roles:
                text = yaml.safe_dump_all(list(admitted.roles.values()), sort_keys=False)
                await self._auth.create(subject, text, f"bundle {bundle.revision}", force=True)

        await self._sidecar.replace_bundle(bundle, rollback=True, tried=tried)
        self.changed()

    async def _try(self, asker: PolicyClient, admitted: Admitted) -> None:
        data, revision = self._sidecar.documents
        recorded = await asyncio.to_thread(self._recorded)
        asked = list(trial.questions(recorded, data, revision))
        files = _team_files(admitted.content)
        await trial.attempt(asker, asked, self._config.policy.limit_ms, self._clock, files)
        await trial_filters.attempt(asker, files, recorded)

    def _recorded(self) -> list[dict[str, Any]]:
        try:
            with Evidence(self._config.audit_dir, read_only=True) as kept:
                return kept.latest_queries(_TRIED)
        except PolicyError:
            return []  # nothing was asked yet

    async def _took_effect(
        self, subject: Subject, bundle: Bundle, admitted: Admitted | None, source: str
    ) -> None:
        content = await asyncio.to_thread(bundle.path.read_bytes)
        fields = {
            "policy_revision": bundle.revision,
            "policy_digest": await self._in_force.policy(bundle.revision, content),
            "data_revision": self._sidecar.client.revisions.data,
            "source": source,
            "signed_by": "" if admitted is None else admitted.signer,
            "user": subject.name,
            "subject": subject.kind,
        }
        await self._record(Kind.POLICY_LOAD, fields)

    async def _refused(
        self, subject: Subject, admitted: Admitted | None, source: str, error: Exception
    ) -> None:
        fields = {
            "policy_revision": "" if admitted is None else admitted.revision,
            "source": source,
            "signed_by": "" if admitted is None else admitted.signer,
            "reason": error.code if isinstance(error, AccessError) else type(error).__name__,
            "message": str(error)[:2000],
            "user": subject.name,
            "subject": subject.kind,
        }
        await self._record(Kind.POLICY_REFUSED, fields)

    async def _record(self, kind: Kind, fields: Mapping[str, Any]) -> None:
        now = self._clock.now_ns()
        await self._audit.append([Event(kind, new_id(now), now, fields)])

    async def _authorise(self, subject: Subject, verb: str) -> None:
        match await self._sidecar.client.admin(subject, verb, "policy", ""):
            case Allowed():
                return
            case Denied() as denial:
                raise AccessError(denial.sentence, code=denial.code)

    async def _accepted(self) -> Accepted:
        opa = await policy.program(self._config)
        folder = self._config.data_dir / "policy"
        return Accepted(folder, opa, self._authorities.bundle_key, self._config.policy.keys)


def _team_files(content: bytes) -> dict[str, str]:
    """The team's Rego, under the names that the team knows."""
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        found = {member.name.lstrip("/"): archive.extractfile(member) for member in archive}
        return {
            name.removeprefix(f"{publish.TEAM}/"): stream.read().decode("utf-8", "replace")
            for name, stream in found.items()
            if stream is not None and name.startswith(f"{publish.TEAM}/")
        }
