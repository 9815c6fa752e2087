"""The systemd unit for a configuration: text only, with as few rights as the services can live with."""

from dataclasses import dataclass
from pathlib import Path

from gateway.config import Config

_TEMPORARY = (Path("/tmp"), Path("/var/tmp"))  # noqa: S108 # PrivateTmp hides these, nothing is written there
_HOMES = (Path("/home"), Path("/root"), Path("/run/user"))
_STATE = Path("/var/lib")

_UNIT = """\
# Written by: regate install systemd -c {config}
[Unit]
Description=Regate database access gateway ({config})
Wants=network-online.target
After=network-online.target

[Service]
Type=exec
ExecStart={program} start -c {config}
User={user}
Group={user}
Restart=on-failure
RestartSec=5s
# A mistake in the file does not go away by itself.
RestartPreventExitStatus=2
TimeoutStopSec=30s
LimitNOFILE=65536
LimitCORE=0
UMask=0077

# What it keeps, and where it keeps an OPA that it had to get.
{writable}
CacheDirectory=regate
CacheDirectoryMode=0700
Environment=XDG_CACHE_HOME=/var/cache
{readable}
# What it cannot do.
NoNewPrivileges=yes
CapabilityBoundingSet={capabilities}
AmbientCapabilities={capabilities}
ProtectSystem=strict
ProtectHome={homes}
PrivateTmp=yes
PrivateDevices=yes
DevicePolicy=closed
{users}ProtectProc=invisible
ProtectClock=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectControlGroups=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
RemoveIPC=yes
KeyringMode=private
LockPersonality=yes
MemoryDenyWriteExecute=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged
SystemCallErrorNumber=EPERM

[Install]
WantedBy=multi-user.target
"""


@dataclass(frozen=True, slots=True)
class Unit:
    """What the unit is about: the file, the program to start, and the account that runs it."""

    config: Config
    program: Path
    user: str

    def text(self) -> str:
        """The unit."""
        low_port = any(0 < port < 1024 for port in _ports(self.config))
        token = _token(self.config)
        hidden = token is not None and _is_below(token, _TEMPORARY)
        return _UNIT.format(
            config=_escaped(self.config.path),
            program=_escaped(self.program),
            user=self.user,
            writable="\n".join(self._writable()),
            # The minus: once it has joined, the service does without the token.
            readable=f"BindReadOnlyPaths=-{_escaped(token)}\n" if token is not None and hidden else "",
            capabilities="CAP_NET_BIND_SERVICE" if low_port else "",
            homes="read-only" if self._uses_homes() else "yes",
            # In a user namespace of its own a service cannot bind a low port of the host.
            users="" if low_port else "PrivateUsers=yes\n",
        )

    def _writable(self) -> list[str]:
        data = self.config.data_dir
        lines = [f"ReadWritePaths={_escaped(data)}"]
        if data.parent == _STATE:
            lines = [f"StateDirectory={_escaped(Path(data.name))}", "StateDirectoryMode=0700"]
        others = [self.config.audit_dir]
        if self.config.log.output not in {"stderr", "stdout"}:
            others.append(Path(self.config.log.output).parent)
        lines += [f"ReadWritePaths={_escaped(path)}" for path in others if not path.is_relative_to(data)]
        return lines

    def _uses_homes(self) -> bool:
        config = self.config
        paths = [config.path, config.data_dir, config.audit_dir, self.program]
        paths += [path for path in (config.policy_dir, config.opa.path, _token(config)) if path is not None]
        return any(_is_below(path, _HOMES) for path in paths)


def _ports(config: Config) -> list[int]:
    ports = [config.proxy_service.listen.port] if config.proxy_service.enabled else []
    return ports + [address.port for address in (config.diagnostics,) if address is not None]


def _token(config: Config) -> Path | None:
    return None if config.join is None else config.join.token_file


def _is_below(path: Path, folders: tuple[Path, ...]) -> bool:
    return any(path.is_relative_to(folder) for folder in folders)


def _escaped(path: Path) -> str:
    """A path as a unit's value: percent signs are specifiers there, and blanks separate."""
    text = str(path).replace("%", "%%").replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"' if any(letter.isspace() for letter in text) else text
