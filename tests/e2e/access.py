"""Where a client finds a database, in the forms that libpq and the drivers want it."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Access:
    """How a client reaches one database: through a tunnel's plain port, or natively with a certificate."""

    host: str
    port: int
    db_user: str
    db_name: str
    certificate: Path | None = None
    key: Path | None = None
    ca: Path | None = None

    @property
    def environment(self) -> dict[str, str]:
        """libpq's variables."""
        values = {
            "PGHOST": self.host,
            "PGPORT": str(self.port),
            "PGUSER": self.db_user,
            "PGDATABASE": self.db_name,
            "PGSSLMODE": "disable",
            "PGCONNECT_TIMEOUT": "15",
        }
        if self.certificate is not None:
            values |= {
                "PGSSLMODE": "verify-full",
                "PGSSLCERT": str(self.certificate),
                "PGSSLKEY": str(self.key),
                "PGSSLROOTCERT": str(self.ca),
            }
        return values

    @property
    def conninfo(self) -> str:
        """The same as a libpq connection string."""
        names = {
            "PGHOST": "host",
            "PGPORT": "port",
            "PGUSER": "user",
            "PGDATABASE": "dbname",
            "PGSSLMODE": "sslmode",
            "PGSSLCERT": "sslcert",
            "PGSSLKEY": "sslkey",
            "PGSSLROOTCERT": "sslrootcert",
            "PGCONNECT_TIMEOUT": "connect_timeout",
        }
        return " ".join(f"{names[name]}={value}" for name, value in self.environment.items())
