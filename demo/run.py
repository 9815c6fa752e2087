"""The whole story on a real PostgreSQL: from an empty folder to a session whose every statement was judged.

``make demo`` runs it and stays up; ``make demo ONCE=1`` ends after the story, with exit code 0 when each step
did what it should. Everything is made in a temporary folder and listens on the loopback address only.
"""

import os
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPOSITORY))

from demo.story import REGATE, Story, StoryError, paint  # noqa: E402 - found once the path says where
from tests.seed import SEED_ROLE  # noqa: E402 - the same
from tests.servers import postgres, process  # noqa: E402 - the rigs of the tests serve the demo too

SCHEMA = """
create schema app;
create table app.orders (id int primary key, customer text, total numeric);
create table app.salaries (who text, amount numeric);
insert into app.orders values (1, 'Acme', 120.50), (2, 'Globex', 75), (3, 'Initech', 310);
insert into app.salaries values ('alice', 90000);
grant usage on schema app to alice, reader;
grant all on all tables in schema app to alice, reader;
"""

READER_ROLE = """\
kind: role
version: v7
metadata:
  name: orders-reader
spec:
  allow:
    db_labels:
      env: production
    db_names: [mydb]
    db_users: [reader]
    db_permissions:
      - match: {object_kind: table, schema: app, name: orders}
        permissions: [SELECT]
"""


def main() -> int:
    """Tell the story; the exit code is 0 when every step did what it should."""
    once = os.environ.get("ONCE", "") not in {"", "0"}
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(130))
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="regate-demo-")))
        story = Story(folder)
        try:
            _tell(story, stack)
        except StoryError as error:
            print(paint(f"\nthe demo failed: {error}", "1;31"))
            print(_tail(folder / "regate.log"))
            return 1
        print(paint(f"\nAll {story.steps} steps did what they should.", "1;32"))
        if not once:
            _stay(story)
    return 0


def _tell(story: Story, stack: ExitStack) -> None:
    folder = story.folder
    proxy = f"localhost:{process.free_port()}"
    admin = {"REGATE_CONFIG": str(folder / "regate.yaml"), "REGATE_HOME": str(folder / "admin")}
    alice = {"REGATE_HOME": str(folder / "alice"), "REGATE_CONFIG": ""}
    bob = {"REGATE_HOME": str(folder / "bob"), "REGATE_CONFIG": ""}
    story.environment = {"PGCONNECT_TIMEOUT": "20"}

    story.chapter("1. A gateway from one file")
    story.run(
        "configure", f"--output=file://{folder / 'regate.yaml'}", f"--data-dir={folder / 'data'}",
        f"--listen-addr=127.0.0.1:{proxy.partition(':')[2]}", f"--public-addr={proxy}", "--cluster-name=demo",
    )  # fmt: skip
    pin = stack.enter_context(_gateway(story, admin))

    story.chapter("2. PostgreSQL trusts certificates, and nothing else")
    story.run("auth", "sign", "--format=db", "--host=localhost", "--out=server", "--ttl=2190h", who=admin)
    server = stack.enter_context(
        postgres.running(
            certificate=folder / "server.crt", key=folder / "server.key", client_ca=folder / "server.cas"
        )
    )
    server.create("mydb", "alice", "reader")
    server.psql(SCHEMA, database="mydb")
    print(f"  PostgreSQL runs on {server.uri}; its pg_hba.conf has one line: {postgres.CERTIFICATE_ONLY[0]}")

    story.chapter("3. Roles and databases are files")
    for name, text in (("role", SEED_ROLE), ("reader", READER_ROLE), ("db", _database(server.uri))):
        (folder / f"{name}.yaml").write_text(text)
        story.run("create", f"{name}.yaml", who=admin)

    story.chapter("4. Alice gets an account, chooses her password, and logs in")
    trust = (f"--proxy={proxy}", f"--ca-pin={pin}")
    _enrol(story, admin, alice, trust, "alice", "access")
    story.run("users", "update", "alice", "--set-roles=access,db-access", who=admin)
    story.run("login", *trust, "--user=alice", "--password-stdin", who=alice, stdin="correct horse alice\n")
    story.run("status", who=alice, expect="alice")
    story.run("db", "ls", who=alice, expect="my-postgres")

    story.chapter("5. She connects: every statement is judged by OPA and recorded before it runs")
    route = ("--db-user=alice", "--db-name=mydb", "my-postgres")
    story.run("db", "login", *route, who=alice)
    story.run(
        "db", "connect", *route, "--", "-c", "select customer, total from app.orders order by total",
        who=alice, expect="Initech",
    )  # fmt: skip

    story.chapter("6. The same through a plain local port, as a GUI client would use it")
    _tunnel(story, alice, route)

    story.chapter("7. Bob may read app.orders, and nothing else")
    _enrol(story, admin, bob, trust, "bob", "orders-reader")
    story.run("login", *trust, "--user=bob", "--password-stdin", who=bob, stdin="correct horse bob\n")
    narrow = ("--db-user=reader", "--db-name=mydb", "my-postgres")
    story.run("db", "connect", *narrow, "--", "-c", "select count(*) from app.orders", who=bob, expect="3")
    for attempt in (
        "select * from app.salaries",
        "with gone as (delete from app.orders returning 1) select count(*) from gone",
        "explain analyze update app.orders set total = 0",
        "select query_to_xml('select * from app.salaries', true, false, '')",
    ):
        story.run("db", "connect", *narrow, "--", "-c", attempt, who=bob, expect="ERROR", exit_code=1)
    kept = server.psql("select count(*) || ' ' || sum(total) from app.orders", database="mydb")
    if kept != "3 505.50":
        raise StoryError(f"bob changed the data: {kept}")

    story.chapter("8. Alice is locked: her open session ends at once")
    _lock(story, admin, alice, route)

    story.chapter("9. Who saw what, and is the record whole?")
    story.run("audit", "ls", "--user=bob", "--limit=12", who=admin, expect="db.session.denied")
    story.run("audit", "verify", who=admin, expect="whole")


def _database(uri: str) -> str:
    return f"""\
kind: db
version: v3
metadata:
  name: my-postgres
  description: Production PostgreSQL
  labels: {{env: production, team: platform}}
spec:
  protocol: postgres
  uri: {uri}
"""


@contextmanager
def _gateway(story: Story, admin: Mapping[str, str]) -> Iterator[str]:
    """``regate start`` in the background; yields the CA pin that it prints."""
    config = story.folder / "regate.yaml"
    print(paint(f"$ regate start -c {config} &", "1"))
    with (
        (story.folder / "regate.log").open("w") as log,
        subprocess.Popen(
            [str(REGATE), "start", "-c", str(config)],
            env={**os.environ, **admin},
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        ) as child,
    ):
        try:
            yield _pin(child)
        finally:
            child.terminate()
            child.wait(timeout=30)


def _pin(child: "subprocess.Popen[str]") -> str:
    """Read what it prints until it is ready; its first start may build OPA, which takes minutes."""
    assert child.stdout is not None
    pin = ""
    for line in child.stdout:
        print(f"  {line}", end="")
        if "sha256:" in line:
            pin = "sha256:" + line.partition("sha256:")[2].split()[0]
        if line.startswith("Ready"):
            return pin
    raise StoryError("regate start ended before it was ready")


def _enrol(
    story: Story, admin: Mapping[str, str], who: Mapping[str, str], trust: Sequence[str], user: str, role: str
) -> None:
    said = story.run("users", "add", user, f"--roles={role}", "--format=json", who=admin, quiet=True)
    token = story.folder / f"{user}.token"
    token.touch(mode=0o600)
    token.write_text(_field(said, "token"))
    story.run(
        "users", "accept", *trust, f"--token-file={token}", "--password-stdin", "--no-totp",
        who=who, stdin=f"correct horse {user}\n",
    )  # fmt: skip


def _field(said: str, name: str) -> str:
    import json  # noqa: PLC0415 - one use

    return str(json.loads(said)[name])


def _tunnel(story: Story, alice: Mapping[str, str], route: Sequence[str]) -> None:
    port = process.free_port()
    shown = shlex.join(["regate", "proxy", "db", *route[:2], "--tunnel", f"--port={port}", route[2]])
    print(paint(f"$ {shown} &", "1"))
    story.steps += 1
    with subprocess.Popen(
        [str(REGATE), "proxy", "db", *route[:2], "--tunnel", f"--port={port}", route[2]],
        env={**os.environ, **alice},
        stdout=subprocess.PIPE,
        text=True,
    ) as child:
        try:
            _wait_for(lambda: _answers(port), f"the tunnel on port {port}")
            done = subprocess.run(
                ["psql", "-X", "-At", f"host=127.0.0.1 port={port} user=alice dbname=mydb sslmode=disable"],
                input="select current_user || ' sees ' || count(*) || ' orders' from app.orders;\n",
                capture_output=True,
                text=True,
                check=False,
            )
            print(f"  psql says: {done.stdout.strip() or done.stderr.strip()}")
            if done.stdout.strip() != "alice sees 3 orders":
                raise StoryError("the tunnel did not carry the session")
        finally:
            child.send_signal(signal.SIGINT)
            child.wait(timeout=10)


def _lock(story: Story, admin: Mapping[str, str], alice: Mapping[str, str], route: Sequence[str]) -> None:
    lock = story.folder / "lock.yaml"
    lock.write_text(
        "kind: lock\nversion: v2\nmetadata: {name: alice-left}\n"
        "spec: {target: {user: alice}, message: alice left the team}\n"
    )
    arguments = [str(REGATE), "db", "connect", *route, "--", "-c", "select pg_sleep(60)"]
    with subprocess.Popen(
        arguments, env={**os.environ, **alice}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as child:
        time.sleep(1.5)
        began = time.monotonic()
        story.run("create", "lock.yaml", who=admin)
        output, _ = child.communicate(timeout=30)
        print("".join(f"  {line}\n" for line in output.strip().splitlines()), end="")
        print(f"  her session ended {time.monotonic() - began:.1f} s after the command began")
        if child.returncode == 0 or "alice left the team" not in output:
            raise StoryError("the lock did not end the session")
    story.run("db", "connect", *route, "--", "-c", "select 1", who=alice, exit_code=2, expect="alice left")


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def _wait_for(ready: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 15
    while not ready():
        if time.monotonic() > deadline:
            raise StoryError(f"{what} did not come up")
        time.sleep(0.05)


def _stay(story: Story) -> None:
    folder = story.folder
    print(
        f"\nIt stays up until Ctrl-C. In another shell:\n"
        f"  export PATH={REGATE.parent}:$PATH\n"
        f"  export REGATE_HOME={folder / 'bob'}                # be bob: regate db ls, regate db connect …\n"
        f"  export REGATE_CONFIG={folder / 'regate.yaml'}    # administer: regate audit ls, regate get roles"
    )
    signal.pause()


def _tail(path: Path) -> str:
    return "\n".join(path.read_text().splitlines()[-15:]) if path.exists() else ""


if __name__ == "__main__":
    sys.exit(main())
