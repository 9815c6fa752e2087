"""JDBC drivers as clients: Maven brings them once, into a cache; one session is one run of ``Run.java``."""

import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

from cryptography.hazmat.primitives import serialization

from tests.e2e.access import Access
from tests.servers import install

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True, slots=True)
class Answer:
    """What one command gave: rows as text, or an SQLSTATE and a message."""

    rows: str = ""
    state: str = ""
    message: str = ""


def classpath() -> Path:
    """The folder with the driver's jars and our compiled program, filled at the first use."""
    sources = b"".join((HERE / name).read_bytes() for name in ("pom.xml", "Run.java"))
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "regate" / "jdbc"
    target = cache / hashlib.sha256(sources).hexdigest()[:16]
    if target.is_dir():
        return target
    install.ensure("java")
    cache.mkdir(parents=True, exist_ok=True)
    # Built aside and renamed: a run that is cut short must not leave a half-filled cache.
    with tempfile.TemporaryDirectory(dir=cache) as aside:
        built = Path(aside) / "built"
        _run(
            "mvn", "-q", "-B", "-f", str(HERE / "pom.xml"),
            "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies",
            f"-DoutputDirectory={built}", "-DincludeScope=runtime",
        )  # fmt: skip
        _run("javac", "-cp", f"{built}/*", "-d", str(built), str(HERE / "Run.java"))
        if not target.is_dir():
            shutil.move(built, target)
    return target


def _run(*arguments: str) -> None:
    done = subprocess.run(arguments, capture_output=True, text=True, check=False, timeout=300)
    if done.returncode != 0:
        raise install.InstallError(f"{arguments[0]}: {done.stdout[-1500:]}{done.stderr[-1500:]}")


def url(access: Access, folder: Path, **properties: str) -> str:
    """The JDBC address; the driver wants the key as DER, so a copy of it is put in *folder*."""
    values = {"user": access.db_user, "sslmode": "disable", "connectTimeout": "15", **properties}
    if access.certificate is not None:
        assert access.key is not None
        key = serialization.load_pem_private_key(access.key.read_bytes(), None)
        path = folder / "jdbc.pk8"
        path.touch(mode=0o600)
        path.write_bytes(
            key.private_bytes(
                serialization.Encoding.DER,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        values |= {
            "sslmode": "verify-full",
            "sslcert": str(access.certificate),
            "sslkey": str(path),
            "sslrootcert": str(access.ca),
        }
    return f"jdbc:postgresql://{access.host}:{access.port}/{access.db_name}?{urlencode(values)}"


def session(address: str, commands: Sequence[str]) -> list[Answer]:
    """One connection that carries out *commands*; the last answer is the one that ended it, if any did."""
    folder = classpath()
    done = subprocess.run(
        [
            "java",
            "-XX:TieredStopAtLevel=1",
            "-XX:+UseSerialGC",
            "-cp",
            f"{folder}:{folder}/*",
            "Run",
            address,
        ],
        input="".join(f"{command}\n" for command in commands),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return [_answer(line) for line in done.stdout.splitlines()]


def _answer(line: str) -> Answer:
    match line.split("\t"):
        case ["ok", rows]:
            return Answer(rows=rows)
        case ["error", state, message]:
            return Answer(state=state, message=message)
        case _:
            raise AssertionError(f"not an answer: {line}")
