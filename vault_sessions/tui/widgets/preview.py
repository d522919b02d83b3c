"""What a session is about, beside the list: what is known of it, and how it ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Vertical, VerticalScroll
from textual.widgets import Static

from vault_sessions.formats.display import safe, safe_line
from vault_sessions.formats.times import local_time
from vault_sessions.tui.badge import badge

if TYPE_CHECKING:
    from textual.theme import Theme

    from vault_sessions.workspace.showing import Shown

_MESSAGES, _LONGEST = 12, 4000


class Preview(Vertical):
    """A session's row and its last messages, the newest at the bottom."""

    def compose(self) -> ComposeResult:
        """What is known of it stays, what was said scrolls."""
        yield Static(classes="about")
        with VerticalScroll(classes="said", can_focus=False):
            yield Static(classes="words")

    def show(self, shown: Shown) -> None:
        """Show this session."""
        self.query_one(".about", Static).update(_about(shown, self.app.current_theme))
        self.query_one(".words", Static).update(_end_of(shown))
        said = self.query_one(VerticalScroll)
        self.call_after_refresh(said.scroll_end, animate=False)

    def complain(self, text: str) -> None:
        """Say why it can't be shown."""
        self.query_one(".about", Static).update(Text(safe(text)))
        self.query_one(".words", Static).update("")

    def turn(self, by: int) -> None:
        """Half a page up or down."""
        said = self.query_one(VerticalScroll)
        said.scroll_relative(y=by * max(1, said.size.height // 2), animate=False)


def _about(shown: Shown, theme: Theme) -> Text:
    session = shown.session
    text = Text(safe_line(session.label), style="bold")
    if session.name and session.topic:
        text.append(f"\n{safe_line(session.topic)}", "not bold")
    text.append("\n")
    if session.provider:
        text.append_text(badge(session.provider, theme))
    model = session.model if session.model != session.provider else None
    known = [safe_line(known) for known in (model, session.skill) if known]
    text.append(f" {' · '.join(known)}\n" if known else "\n", "not bold")
    began, last = local_time(session.created_at)[:16], local_time(session.updated_at)[:16]
    text.append(f"{began} – {last} · {session.message_count} messages", "not bold")
    if session.directory:
        text.append(f"\n{safe_line(session.directory)}", "not bold")
    if shown.problems:
        many = "1 problem" if len(shown.problems) == 1 else f"{len(shown.problems)} problems"
        text.append(f"\n{many}: vault-sessions doctor", "not bold")
    return text


def _end_of(shown: Shown) -> Text:
    spoken = [m for m in shown.transcript.messages if m.id in shown.active and m.text.strip()]
    text = Text()
    if len(spoken) > _MESSAGES:
        text.append(f"↑ {len(spoken) - _MESSAGES} earlier messages\n\n", "dim")
    for message in spoken[-_MESSAGES:]:
        said = safe(message.text.strip())
        text.append(f"{safe_line(message.role)}\n", "bold dim")
        text.append(said[:_LONGEST])
        text.append("…\n\n" if len(said) > _LONGEST else "\n\n")
    text.rstrip()
    return text
