"""StateFile: the file in which the command `emulator` keeps its state."""

from __future__ import annotations

import errno
import os
import shutil
import sys
from contextlib import suppress
from pathlib import Path
from tempfile import mkstemp
from typing import TYPE_CHECKING

from digitalocean_projects._messages import one_line

from .terminal import complain

if TYPE_CHECKING:
    from typing import NoReturn

    from digitalocean_projects.testing import Emulator

# A file may be writable though it can't be replaced: if it is a mount point, as in a container, or
# if its folder is read-only or on another file system. Windows replaces no open file.
_NOT_REPLACEABLE = frozenset({errno.EACCES, errno.EBUSY, errno.EPERM, errno.EROFS, errno.EXDEV})


class StateFile:
    """A file with the state of an emulator, which one process at a time uses.

    Args:
        path: Its name. It is created if it doesn't exist, readable only by its owner, since it
            holds tokens.

    Attributes:
        content: The content at the start.

    Raises:
        OSError: The file can't be created, read or written.
        ValueError: It is not a regular file, or another process uses it.
    """

    def __init__(self, path: Path) -> None:
        self._name = path
        # If the name is a link, the file is replaced and the link stays.
        self._path = path.resolve()
        self._saved: int | None = None
        self._failed = False
        if self._path.exists() and not self._path.is_file():
            raise ValueError(f"--state must be a regular file, got {one_line(str(path))}")
        try:
            self._descriptor = self._open()
            self.content = self._path.read_bytes()
        except OSError as error:
            self._raise_with_name(error)

    def close(self) -> None:
        """Release the file for other processes."""
        os.close(self._descriptor)

    def save(self, emulator: Emulator) -> None:
        """Write the state if it may have changed since the last time.

        The file is replaced in one step, so a crash leaves either the old state or the new one. If
        it can't be replaced, it is overwritten.

        Raises:
            OSError: The file can't be written. It is unchanged, unless it was overwritten.
        """
        changes = emulator.changes
        if changes == self._saved:
            return
        data = emulator.dump().encode()
        try:
            try:
                self._replace(data)
            except OSError as error:
                if error.errno not in _NOT_REPLACEABLE:
                    raise
                self._overwrite(data)
        except OSError as error:
            self._raise_with_name(error)
        self._saved = changes
        self._failed = False

    def try_to_save(self, emulator: Emulator) -> None:
        """Save the state. If that fails, say so once, until it succeeds again."""
        try:
            self.save(emulator)
        except OSError as error:
            if not self._failed:
                complain(f"{error}; the emulator goes on and tries again")
            self._failed = True

    def _open(self) -> int:
        while True:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
            if not _lock(descriptor):
                os.close(descriptor)
                raise ValueError(
                    "--state must be a file that no other emulator uses, got "
                    f"{one_line(str(self._name))}; stop that emulator or choose another file"
                )
            # The process that had the lock before may have replaced the file.
            if os.path.samestat(os.fstat(descriptor), self._path.stat()):
                return descriptor
            os.close(descriptor)

    def _replace(self, data: bytes) -> None:
        descriptor, temporary = mkstemp(dir=self._path.parent, prefix=f".{self._path.name}.")
        try:
            # The new file is locked before it has the name, so the name always has a locked file.
            _lock(descriptor)
            _write(descriptor, data)
            with suppress(FileNotFoundError):
                shutil.copymode(self._path, temporary)
            Path(temporary).replace(self._path)
            descriptor, self._descriptor = self._descriptor, descriptor
        finally:
            # A signal may end any of these steps. This is the old file, or the one that failed.
            os.close(descriptor)
            Path(temporary).unlink(missing_ok=True)
        # The new name is on the disk only when the folder is.
        with suppress(OSError):
            folder = os.open(self._path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)

    def _overwrite(self, data: bytes) -> None:
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        _write(self._descriptor, data)
        os.ftruncate(self._descriptor, len(data))

    def _raise_with_name(self, error: OSError) -> NoReturn:
        """Raise an error with the name that the user knows."""
        raise OSError(error.errno, error.strerror, str(self._name)) from None


def _write(descriptor: int, data: bytes) -> None:
    with open(descriptor, "wb", closefd=False) as file:
        file.write(data)
    os.fsync(descriptor)


def _lock(descriptor: int) -> bool:
    """Lock an open file until it is closed; return False if another process has locked it.

    Some file systems have no locks. There, the file is used without one, and so it is on Windows.
    """
    if sys.platform == "win32":  # pragma: no cover - Windows only
        return True
    import fcntl  # noqa: PLC0415 - not on Windows

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return not isinstance(error, BlockingIOError)
    return True
