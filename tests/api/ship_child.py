"""A service with a log of its own that it ships, until it is killed: started by test_logs.py.

Arguments: the folder of the log, the receiver's port, the folder with the service's credentials, the
service's name, events per second.
"""

import asyncio
import sys
from pathlib import Path

from gateway.audit.log import AuditLog
from gateway.audit.log_shipper import Pace
from gateway.audit.ship import origin_of
from gateway.audit.writer import Timing
from gateway.clock import SystemClock
from gateway.services.courier import shipper as shipping
from tests.api.services import Service, log_key
from tests.audit.rig import event

FAST = Pace(poll=0.05, heartbeat=0.3, retry_first=0.05, retry_most=0.2)


async def main(directory: Path, port: int, folder: Path, service: str, rate: float) -> None:
    key, origin, clock = log_key(directory), origin_of("test", service), SystemClock()
    log = await AuditLog.open(
        directory,
        key=key,
        origin=origin,
        clock=clock,
        reserve_bytes=4096,
        segment_bytes=30_000,
        timing=Timing(checkpoint_seconds=0.05, checkpoint_events=50),
    )
    async with Service(service, folder, port).remote() as remote:
        shipper = shipping(remote, directory, key, clock, None)
        shipper.pace = FAST
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(shipper.run())
            sys.stdout.write("ready\n")
            sys.stdout.flush()
            number = 0
            while True:
                if rate:
                    await log.append([event(n=number)])
                    number += 1
                await asyncio.sleep(1 / rate if rate else 1)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]), sys.argv[4], float(sys.argv[5])))
