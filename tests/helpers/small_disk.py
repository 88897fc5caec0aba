# SPDX-License-Identifier: GPL-3.0-or-later
"""A disk of a few megabytes, which can be filled up, and have room again. Only root may mount one."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import disk_usage
from tempfile import TemporaryDirectory

import attrs
import pytest

LARGEST = 1 << 16


@attrs.frozen
class SmallDisk:
    """A disk at a path, short enough for a socket in it."""

    path: Path

    @property
    def filler(self) -> Path:
        """The file that takes all that is free."""
        return self.path / "filler"

    def fill(self, free: int = 0) -> None:
        """Leave so many bytes free."""
        with self.filler.open("ab", buffering=0) as file:
            while (left := disk_usage(self.path).free - free) > 0:
                file.write(b"\0" * min(left, LARGEST))

    def free(self) -> None:
        """Have room again."""
        self.filler.unlink()


@contextmanager
def small_disk(megabytes: int, block: int = 0) -> Iterator[SmallDisk]:
    """Mount a disk; skip the test where that is not allowed. With a size of its blocks, it is one of ext4."""
    with TemporaryDirectory(prefix="disk") as folder, TemporaryDirectory(prefix="image") as images:
        mount = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "none", folder]
        if block:
            image = Path(images, "image")
            with image.open("wb") as file:
                file.truncate(megabytes << 20)
            make = ["mkfs.ext4", "-q", "-b", str(block), "-m", "0", "-O", "^has_journal", str(image)]
            subprocess.run(make, check=True)
            mount = ["mount", "-o", "loop", str(image), folder]
        done = subprocess.run(mount, check=False, capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"a small disk is mounted as root only: {done.stderr.strip()}")
        try:
            Path(folder).chmod(0o755)
            yield SmallDisk(Path(folder))
        finally:
            subprocess.run(["umount", "--lazy", folder], check=True)
