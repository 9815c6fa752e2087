"""Every address of the HTTP API, one thin handler each: read the request, call the service, answer JSON.

Mounted twice: on the public TLS port, where the caller is the login certificate, and on a unix socket in a
private folder, where the caller is the local administrator. Who may do what is decided below, by policy.
"""

from collections.abc import Iterable, Mapping, Sequence

from aiohttp import web

from gateway.api import (
    accounts,
    agents,
    audit,
    bots,
    cluster,
    databases,
    evidence,
    holds,
    probes,
    resources,
    rotation,
    tokens,
)
from gateway.api.agents import Feed
from gateway.api.audit import AuditReader
from gateway.api.caller import AdminPolicy, Callers, SubjectFromRequest
from gateway.api.databases import Visible
from gateway.api.exchange import MAX_BODY, errors
from gateway.auth.authority import Auth
from gateway.observe.health import Health
from gateway.observe.metrics import Metrics


def application(  # noqa: PLR0913 # one for each part that answers
    auth: Auth,
    *,
    subject_from_request: SubjectFromRequest,
    policy: AdminPolicy,
    visible: Visible,
    audit_reader: AuditReader,
    health: Health,
    metrics: Metrics,
    public_addr: str = "",
    proxies: Sequence[str] = (),
    native: Mapping[str, str] | None = None,
    feed: Feed | None = None,
    waiting: holds.Waiting | None = None,
    more: Iterable[web.RouteDef] = (),
) -> web.Application:
    """The API over these parts; *public_addr* is what people are told to dial, *more* are further routes.

    *native* has where the clients of a protocol find a port of its own, ``host:port`` or ``:port``.
    """
    callers = Callers(subject_from_request, policy)
    made = web.Application(middlewares=[errors], client_max_size=MAX_BODY)
    made.add_routes(cluster.routes(auth, callers, public_addr, proxies))
    made.add_routes(rotation.routes(auth, callers))
    made.add_routes(accounts.routes(auth, callers, metrics, public_addr))
    made.add_routes(resources.routes(auth, callers))
    made.add_routes(tokens.routes(auth, callers, public_addr))
    made.add_routes(bots.routes(auth, callers, public_addr))
    made.add_routes(databases.routes(auth, callers, visible, native or {}))
    made.add_routes(agents.routes(auth, callers, feed))
    made.add_routes(audit.routes(audit_reader, callers, auth.logs))
    made.add_routes(holds.routes(holds.Nobody() if waiting is None else waiting, callers, auth))
    made.add_routes(evidence.routes(audit_reader, callers))
    made.add_routes(probes.routes(health, metrics, callers))
    made.add_routes(more)
    return made


def diagnostics(health: Health, metrics: Metrics) -> web.Application:
    """Only the probes, open to whoever reaches the address: for ``diag_addr``, a loopback port."""
    made = web.Application(middlewares=[errors], client_max_size=MAX_BODY)
    made.add_routes(probes.routes(health, metrics, None))
    return made
