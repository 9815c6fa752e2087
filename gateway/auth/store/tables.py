"""The tables, as the newest migration leaves them; a test compares the two."""

from sqlalchemy import BigInteger, Column, Index, MetaData, String, Table, Text

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

resources = Table(
    "resources",
    metadata,
    Column("kind", String(32), primary_key=True),
    Column("name", String(256), primary_key=True),
    Column("version", String(32), nullable=False),
    Column("document", Text, nullable=False),  # JSON
    Column("revision", BigInteger, nullable=False),
)

counters = Table(
    "counters",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("value", BigInteger, nullable=False),
)

credentials = Table(
    "credentials",
    metadata,
    Column("user_name", String(256), primary_key=True),
    Column("password_hash", Text, nullable=False),
    Column("totp_secret", Text, nullable=False),  # empty: no second factor
    Column("totp_step", BigInteger, nullable=False),  # the last step whose code was used
)

tokens = Table(
    "tokens",
    metadata,
    Column("digest", String(64), primary_key=True),  # SHA-256 of the token; the token is kept nowhere
    Column("purpose", String(16), nullable=False),
    Column("owner", String(256), nullable=False),
    Column("expires_at", BigInteger, nullable=False),  # seconds
    Column("uses_left", BigInteger, nullable=True, server_default="1"),  # null: until it expires
    Index(None, "owner"),
)

attempts = Table(
    "attempts",
    metadata,
    Column("id", String(26), primary_key=True),
    Column("bucket", String(64), nullable=False),  # a digest: what was typed as a name may be a password
    Column("at", BigInteger, nullable=False),  # milliseconds
    Index(None, "bucket", "at"),
    Index(None, "at"),
)

agents = Table(
    "agents",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("service", String(16), nullable=False),  # db or proxy
    Column("hostname", String(256), nullable=False),
    Column("token", String(256), nullable=False),  # the token's name: what joined with it may stand in
    Column("grant_json", Text, nullable=False),  # what the token allows
    Column("names", Text, nullable=False),  # JSON: a proxy's host names
    Column("joined_at", BigInteger, nullable=False),  # seconds
    Column("seen_at", BigInteger, nullable=False),  # seconds
    Column("health", Text, nullable=False),  # JSON: database to what is wrong with it, empty when nothing
)

served = Table(
    "served",
    metadata,
    Column("database", String(256), primary_key=True),
    Column("agent", String(64), primary_key=True),
    Index(None, "agent"),
)

bots = Table(
    "bots",
    metadata,
    Column("name", String(256), primary_key=True),
    Column("instance", String(64), nullable=False),  # which joining counts
    Column("generation", BigInteger, nullable=False),  # of the last certificate since
    Column("key_digest", String(64), nullable=False),  # of its public key, for an answer that was lost
    Column("joined_at", BigInteger, nullable=False),  # seconds
    Column("renewed_at", BigInteger, nullable=False),  # seconds
)

certificates = Table(
    "certificates",
    metadata,
    Column("serial", String(40), primary_key=True),
    Column("certificate_use", String(16), nullable=False),
    Column("owner", String(256), nullable=False),
    Column("issued_at", BigInteger, nullable=False),  # seconds
    Column("expires_at", BigInteger, nullable=False),  # seconds
    Index(None, "expires_at"),
)

sealed = Table(
    "sealed",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("body", Text, nullable=False),  # keys of the cluster, sealed with a key that is not in the state
)
