"""A screen whose text can be copied to the terminal's clipboard, or saved into a file."""

from __future__ import annotations

from llmtop_tui import saving
from llmtop_tui.ink import said
from llmtop_tui.screens.run_screen import RunScreen


class TextScreen(RunScreen):
    """Copying and saving for the screens of one run."""

    def copy_text(self, text: str, what: str) -> None:
        """Send a text to the terminal's clipboard; a long one goes into a file."""
        if len(text) > saving.COPIED_AT_MOST:
            self._saved(saving.free_name(f"llmtop-{what}"), text)
            return
        self.app.copy_to_clipboard(text)
        self.say(f"copied the {what} to the clipboard (OSC 52), {len(text):,} characters")

    def save_text(self, text: str, what: str) -> None:
        """Ask for a name and write the text."""
        name = self.session.snapshot.name if self.session.snapshot else "llmtop"
        self.status.read(
            f"save the {what} as ",
            lambda path: self._saved(path, text) if path else self.say("nothing saved"),
            text=saving.free_name(f"{name}-{what}"),
        )

    def _saved(self, path: str, text: str) -> None:
        try:
            where = saving.save(path, text)
        except OSError as error:
            self.say(f"not saved: {said(path, 80)}: {error.strerror or type(error).__name__}", "warn")
        else:
            self.say(f"saved {len(text):,} characters to {said(where, 150)}")
