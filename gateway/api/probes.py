"""What monitoring asks: is it alive, is it ready, and the numbers."""

from aiohttp import web

from gateway.api.caller import Callers
from gateway.api.exchange import answer
from gateway.observe.health import Health
from gateway.observe.metrics import CONTENT_TYPE, Metrics


def routes(health: Health, metrics: Metrics, callers: Callers | None) -> list[web.RouteDef]:
    """The probes' addresses.

    With *callers*, as on the public port, strangers learn whether it is ready, and no more: reasons name
    hosts and files, and metrics name databases, which are not for everybody's eyes.
    """

    async def healthz(_request: web.Request) -> web.Response:
        return answer({"ok": True})

    async def readyz(_request: web.Request) -> web.Response:
        shown = health.to_json() if callers is None else {"ready": health.ready}
        return answer(shown, status=200 if health.ready else 503)

    async def numbers(request: web.Request) -> web.Response:
        if callers is not None:
            await callers.authorise(request, "read", "metrics")
        return web.Response(body=metrics.render(), headers={"Content-Type": CONTENT_TYPE})

    return [web.get("/healthz", healthz), web.get("/readyz", readyz), web.get("/metrics", numbers)]
