"""What a log of the auth service is called: the name that its checkpoints are signed under.

One name signs one past. A cluster's first log is ``<cluster>/audit``; where another one must begin, because
that past is lost or because several nodes sign with the same key, it gets a name of its own, in a file
beside it.
"""

from pathlib import Path

from gateway.audit import note
from gateway.audit.files import SystemFiles, private_directory
from gateway.audit.ledger import write_new
from gateway.audit.verify import has_log
from gateway.clock import Clock, new_id
from gateway.errors import AuditError

NAME = "name"


def log_name(directory: Path, cluster: str) -> str:
    """The name of the log in *directory*, begun or not."""
    try:
        found = (directory / NAME).read_text(encoding="utf-8").rstrip("\n")
    except FileNotFoundError:
        return f"{cluster}/audit"
    except (OSError, UnicodeDecodeError) as error:
        raise AuditError(f"{directory / NAME} cannot be read") from error
    note.check_name(found)
    return found


def begin_anew(directory: Path, name: str) -> str:
    """Give the log that will begin in *directory* a name; AuditError when one is there."""
    if has_log(directory):
        raise AuditError(f"there is an audit log in {directory} already")
    note.check_name(name)
    files = SystemFiles()
    private_directory(directory)
    draft = directory / f"{NAME}.draft"
    files.remove(draft)
    write_new(files, draft, f"{name}\n".encode())
    files.rename(draft, directory / NAME)
    return name


def node_log(directory: Path, cluster: str, *, is_shared: bool, clock: Clock) -> str:
    """The name of this node's log; a node that shares its state, and so its key, begins one of its own."""
    if is_shared and not has_log(directory) and not (directory / NAME).exists():
        return begin_anew(directory, f"{cluster}/audit-{new_id(clock.now_ns()).lower()}")
    return log_name(directory, cluster)
