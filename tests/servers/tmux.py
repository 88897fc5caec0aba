# SPDX-License-Identifier: GPL-3.0-or-later
"""A terminal of a known size, in a tmux of its own: what a program shows in it, and keys for it."""

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from btcore.testing import wait_for

MISSING = "" if shutil.which("tmux") else "apt install tmux: it is missing"
"""Why there can be no terminal; "" if there can."""


class Tmux:
    """A program in a terminal; its socket is in a folder of its own, so no other tmux knows of it."""

    def __init__(
        self, folder: Path, command: Sequence[str], size: tuple[int, int], env: Mapping[str, str] | None = None
    ) -> None:
        """Start a command in a terminal of so many columns and rows. What it prints at its end stays to be read."""
        self._socket = str(folder / "tmux")
        self._env = {**os.environ, "LC_ALL": "C.UTF-8", "TERM": "xterm-256color", **(env or {})}
        self._env.pop("TMUX", None)
        columns, rows = map(str, size)
        (folder / "tmux.conf").write_text("set -g remain-on-exit on\nset -g status off\n")
        self._conf = str(folder / "tmux.conf")
        self.ask("new-session", "-d", "-x", columns, "-y", rows, *command)

    def ask(self, *arguments: str) -> str:
        """Run a command of tmux; return what it prints."""
        line = ["tmux", "-S", self._socket, "-f", self._conf, *arguments]
        return subprocess.run(line, env=self._env, capture_output=True, text=True, check=True).stdout

    def screen(self, *options: str) -> list[str]:
        """Return the rows of the terminal."""
        return self.ask("capture-pane", "-p", *options).split("\n")[:-1]

    def resize(self, columns: int, rows: int) -> None:
        """Change the size of the terminal."""
        self.ask("resize-window", "-x", str(columns), "-y", str(rows))

    def press(self, *keys: str) -> None:
        """Press keys."""
        self.ask("send-keys", *keys)

    def ended(self) -> int | None:
        """Return the exit code of the program; None while it runs."""
        dead, pid = self.ask("display-message", "-p", "#{pane_dead} #{pane_pid}").split()
        if dead != "1":
            return None
        try:  # tmux itself may never hear of the end: then it is a zombie, whose status Linux shows last
            status = Path(f"/proc/{pid}/stat").read_text().rpartition(" ")[2]
        except FileNotFoundError:
            status = ""
        code = self.ask("display-message", "-p", "#{pane_dead_status}").strip()
        if code:
            return int(code)
        return os.waitstatus_to_exitcode(int(status)) if status else None

    def wait_for(self, text: str) -> list[str]:
        """Wait until a text is on the screen; return the rows."""
        seen: list[str] = []

        def is_there() -> bool:
            seen[:] = self.screen()
            return any(text in row for row in seen)

        try:
            wait_for(is_there, f"{text!r} on the screen")
        except AssertionError as error:
            raise AssertionError(f"{error}; there is:\n" + "\n".join(seen)) from None
        return seen

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """End it, and what runs in it."""
        self.ask("kill-server")
