"""Which file system a path lies on, for files that some of them do not keep safe."""

from __future__ import annotations

from pathlib import Path

_NETWORK = (
    "nfs", "nfs4", "cifs", "smb3", "smbfs", "lustre", "beegfs", "gpfs", "ceph", "glusterfs", "9p", "afs",
    "orangefs", "pvfs2", "wekafs", "panfs", "virtiofs", "fuse.sshfs", "fuse.glusterfs", "fuse.ceph",
    "fuse.juicefs", "fuse.s3fs", "fuse.gcsfuse", "fuse.rclone", "fuse.goofys",
)  # fmt: skip
_ESCAPES = {r"\040": " ", r"\011": "\t", r"\012": "\n", r"\134": "\\"}


def network_file_system(path: Path, mounts: Path = Path("/proc/mounts")) -> str | None:
    """Name of the network file system that a path lies on.

    Args:
        path: It need not exist.
        mounts: The system's table of mounts; where there is none, nothing is known.

    Returns:
        Such as `nfs4`; None for a disk of this machine, or where it cannot be told.
    """
    try:
        rows = [line.split() for line in mounts.read_text("utf-8", "replace").splitlines()]
    except OSError:
        return None
    place = path.absolute().resolve()
    above = [row for row in rows if len(row) > 2 and place.is_relative_to(_plain(row[1]))]
    # The deepest counts, and of several on one place the last.
    kind = max(
        enumerate(above), key=lambda each: (len(_plain(each[1][1])), each[0]), default=(0, ["", "", ""])
    )[1][2]
    return kind if kind in _NETWORK else None


def _plain(mounted: str) -> str:
    for escape, character in _ESCAPES.items():
        mounted = mounted.replace(escape, character)
    return mounted
