"""The image that the Containerfile describes, built where no registry of images can be reached.

buildah builds it as anybody would, in a storage of its own. What stands behind the two ``FROM`` lines is made
of Debian's packages and of the Go on this host: the same Debian, its own Python in place of a newer one.
"""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
TAG = "localhost/regate:test"
_PACKAGES = "python3,python3-venv,python3-pip,python-is-python3,ca-certificates"
_OF_THE_HOST = ("/etc/ssl/certs", "/etc/pip.conf", "/opt/wheels")
"""How pip and Go reach their registries from here; mounted while it is built, and not in the image."""


def can_be_had() -> bool:
    """True for root, where all three programs are there."""
    return os.geteuid() == 0 and all(shutil.which(name) for name in ("buildah", "mmdebstrap", "go"))


@dataclass(frozen=True)
class Images:
    """A storage of images and containers in a folder."""

    folder: Path

    def buildah(self, *arguments: str | Path, seconds: float = 300) -> str:
        """One command to its end, in the project's folder; what it said."""
        done = subprocess.run(
            self.command(*arguments), cwd=ROOT, capture_output=True, text=True, timeout=seconds, check=False
        )
        assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
        return done.stdout.strip()

    def command(self, *arguments: str | Path) -> list[str | Path]:
        """How it is called."""
        storage = [f"--root={self.folder / 'store'}", f"--runroot={self.folder / 'run'}"]
        return ["buildah", *storage, "--storage-driver=overlay", *arguments]

    def make(self, tag: str, *steps: Sequence[str | Path], of: str = "scratch") -> None:
        """An image from another one by some steps, each a verb, an option and what follows the container."""
        made = self.buildah("from", "--pull-never", of)
        for verb, option, *rest in steps:
            self.buildah(verb, option, made, *rest)
        self.buildah("commit", "--quiet", "--rm", made, tag)

    def build(self) -> None:
        """The image of the Containerfile, on stand-ins for what it is made of."""
        go, python = re.findall(r"^FROM (\S+) AS", (ROOT / "Containerfile").read_text(), re.MULTILINE)
        home = Path(_said("go", "env", "GOROOT"))
        path = "PATH=/usr/local/go/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        # Debian keeps pip from its own Python; the image that stands in the file does not.
        lets_pip = ("run", "--isolation=chroot", "sh", "-c", "rm -f /usr/lib/python3*/EXTERNALLY-MANAGED")
        self.make(python, ("add", "--quiet", _base(), "/"), lets_pip)
        self.make(go, ("add", "--quiet", home, "/usr/local/go"), ("config", f"--env={path}"), of=python)
        caches = [(_said("go", "env", name), where) for name, where in _GO_CACHES.items()]
        mounted = [(path, path) for path in _OF_THE_HOST if Path(path).exists()]
        volumes = [f"--volume={here}:{there}" for here, there in (*caches, *mounted)]
        options = ["--pull-never", "--isolation=chroot", "--layers=false", f"--tag={TAG}"]
        self.buildah("build", *options, *volumes, "-f", "Containerfile", ".", seconds=3000)

    @contextmanager
    def container(self) -> Iterator[str]:
        """A container of the image, by name."""
        name = self.buildah("from", "--pull-never", TAG)
        try:
            yield name
        finally:
            self.buildah("rm", name)

    def about(self) -> dict[str, object]:
        """What the image says of itself."""
        return dict(json.loads(self.buildah("inspect", "--type=image", TAG))["OCIv1"]["config"])


_GO_CACHES = {"GOMODCACHE": "/root/go/pkg/mod", "GOCACHE": "/root/.cache/go-build"}


def _base() -> Path:
    """Debian with Python as an archive, made once."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "regate" / "tests"
    target = cache / "bookworm-python.tar"
    if not target.exists():
        cache.mkdir(parents=True, exist_ok=True)
        made = target.with_name(f"{os.getpid()}-{target.name}")
        options = ["--variant=minbase", f"--include={_PACKAGES}"]
        subprocess.run(
            ["mmdebstrap", *options, "bookworm", made], capture_output=True, check=True, timeout=1800
        )
        made.replace(target)
    return target


def _said(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
