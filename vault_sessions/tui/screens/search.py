"""Search in everything, as one types; Enter goes to where it stands."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from rich.text import Text
from textual import work
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, VerticalScroll
from textual.screen import Screen
from textual.widgets import Input, Static

from vault_sessions.errors import VaultSessionsError
from vault_sessions.formats.display import safe, safe_line
from vault_sessions.formats.times import local_time
from vault_sessions.model import Hit
from vault_sessions.tui.app import ChatApp
from vault_sessions.tui.finding import as_typed, from_words, marked, words_of
from vault_sessions.tui.newest import Newest
from vault_sessions.tui.widgets.keys import Keys
from vault_sessions.tui.widgets.rows import Rows

if TYPE_CHECKING:
    from vault_sessions.workspace import Workspace

T = TypeVar("T")
_STEP = 100
_MARGIN = 20
_WIDE = 130

EVERYTHING, HERE, SESSIONS, MEMORY = range(4)
_WHERE = ("everything", "this conversation", "conversations", "memory")
_ROLES = (None, "user", "assistant", "tool", "system")
_WHO = {
    None: "anybody",
    "user": "you",
    "assistant": "answers",
    "tool": "tools",
    "system": "the system",
}
_DAYS = (None, 1, 7, 30, 365)
_WHEN = {None: "any time", 1: "a day", 7: "a week", 30: "a month", 365: "a year"}


class Asked(NamedTuple):
    """What is looked for: ``where`` is one of the four above; ``days``: said so many days ago at
    most; ``at``: the place of the passage that was marked."""

    words: str = ""
    where: int = EVERYTHING
    role: str | None = None
    days: int | None = None
    newest: bool = True
    at: int = 0


class Searched(NamedTuple):
    """What was looked for, and the passage to go to; None: none of them."""

    asked: Asked
    hit: Hit | None


class SearchScreen(Screen[Searched | None]):
    """Its result is the passage to go to, and what to begin with the next time.

    ``session_id``: the conversation that is open, if there is one.
    """

    app: ChatApp
    BINDINGS = [
        Binding("enter", "take", "Go there", priority=True),
        Binding("tab", "where(1)", "Where", priority=True),
        Binding("shift+tab", "where(-1)", show=False, priority=True),
        Binding("ctrl+r", "role", "Who", priority=True),
        Binding("ctrl+t", "days", "When", priority=True),
        Binding("ctrl+o", "order", "Order", priority=True),
        Binding("escape,ctrl+f", "leave", "Back", priority=True),
        Binding("down", "move(1)", show=False, priority=True),
        Binding("up", "move(-1)", show=False, priority=True),
        Binding("pagedown", "page(1)", show=False, priority=True),
        Binding("pageup", "page(-1)", show=False, priority=True),
    ]

    def __init__(self, asked: Asked | None = None, session_id: str | None = None) -> None:
        super().__init__()
        self._asked = asked or Asked()
        self._session_id = session_id
        self._places = [EVERYTHING, HERE, SESSIONS, MEMORY]
        if session_id is None:
            self._places.remove(HERE)
        self._hits: list[Hit] = []
        self._words: tuple[str, ...] = ()
        self._limit = _STEP
        self._shown: Asked | None = None
        self._newest = Newest()
        self.takes_keys = True
        """False from Enter until what was typed has been looked for."""

    def compose(self) -> ComposeResult:
        """Where one types, what is looked for where, what was found, the whole of the marked."""
        line = Input(self._asked.words, placeholder='words, "a phrase", word*, -not', compact=True)
        line.id = "query"
        yield line
        yield Static(id="about")
        with Horizontal():
            yield Rows[Hit](self._lines, lines=2)
            with VerticalScroll(id="passage", classes="hidden", can_focus=False):
                yield Static()
        yield Keys()

    def on_mount(self) -> None:
        """What was looked for the last time is there, and goes with the first letter."""
        line = self.query_one(Input)
        line.focus()
        line.action_select_all()
        self.query_one(Rows).can_focus = False
        self._look(at=self._asked.at)

    def on_resize(self) -> None:
        """On a wide screen the whole passage is beside the list."""
        self.query_one("#passage").set_class(self.size.width < _WIDE, "hidden")
        self._show_passage()

    # --- finding ---

    def on_input_changed(self, event: Input.Changed) -> None:
        """Find as it is typed."""
        self._ask(self._asked._replace(words=event.value))

    def _ask(self, asked: Asked) -> None:
        """Look for something else."""
        if asked != self._asked:
            self._asked = asked
            self._limit = _STEP
            self._look()

    @work(group="find")
    async def _look(self, at: int = 0) -> None:
        await self._newest.do(lambda: self._find(at))

    async def _find(self, at: int) -> None:
        asked, limit, session_id = self._asked, self._limit, self._session_id
        if not asked.words.strip():
            self._show(asked, [], 0)
            return
        try:
            hits = await self.app.reader.do(lambda ws: search(ws, asked, limit, session_id))
        except (VaultSessionsError, OSError) as error:
            self._complain(str(error))
            return
        if self.is_attached:
            self._show(asked, hits, at)

    def _show(self, asked: Asked, hits: list[Hit], at: int) -> None:
        rows = self.query_one(Rows)
        # of the same there is only more now: one may have gone on meanwhile
        place = rows.at if asked == self._shown else at
        self._hits, self._shown = hits, asked
        self._words = words_of(asked.words)
        rows.fill(hits, place)
        if not self.takes_keys and asked == self._asked:
            self.takes_keys = True
            self.action_take()
        about = self.query_one("#about", Static)
        about.set_class(False, "fault")
        about.update(self._about(asked))

    def _complain(self, text: str) -> None:
        self.takes_keys = True
        about = self.query_one("#about", Static)
        about.set_class(True, "fault")
        about.update(Text(safe_line(text)))

    def _about(self, asked: Asked) -> Text:
        """How many were found, and where they were looked for."""
        line = Text(" ", no_wrap=True, overflow="ellipsis")
        if asked.words.strip():
            many = f"{len(self._hits)}+" if self._is_cut else str(len(self._hits) or "nothing")
            line.append(f"{many} found", "bold")
            line.append(" in ")
        else:
            line.append("search ")
        line.append(_WHERE[asked.where], "bold" if asked.where else "")
        if asked.where != MEMORY:
            line.append(f" · {_WHO[asked.role]}", "bold" if asked.role else "")
        line.append(f" · {_WHEN[asked.days]}", "bold" if asked.days else "")
        line.append(" · newest first" if asked.newest else " · best first")
        return line

    @property
    def _is_cut(self) -> bool:
        return len(self._hits) >= self._limit

    # --- keys ---

    def action_where(self, by: int) -> None:
        """Look somewhere else: everything, this conversation, all of them, memory."""
        where = _after(self._places, self._asked.where, by)
        role = None if where == MEMORY else self._asked.role
        self._ask(self._asked._replace(where=where, role=role))

    def action_role(self) -> None:
        """Only what one side said; after the last one anybody again."""
        role, where = _after(_ROLES, self._asked.role), self._asked.where
        self._ask(self._asked._replace(role=role, where=EVERYTHING if where == MEMORY else where))

    def action_days(self) -> None:
        """Only what was said in the last day, week, month, year; then at any time again."""
        self._ask(self._asked._replace(days=_after(_DAYS, self._asked.days)))

    def action_order(self) -> None:
        """The newest first, or the most relevant."""
        self._ask(self._asked._replace(newest=not self._asked.newest))

    def action_move(self, by: int) -> None:
        """Mark another one; behind the last ones there may be more."""
        rows = self.query_one(Rows)
        rows.move(by)
        if self._is_cut and rows.at >= len(self._hits) - _MARGIN:
            self._limit *= 2
            self._look()

    def action_page(self, by: int) -> None:
        """A page up or down."""
        self.action_move(by * self.query_one(Rows).page)

    def action_take(self) -> None:
        """Go there, once what was typed has been looked for."""
        if self._asked.words.strip() and self._shown != self._asked:
            self.takes_keys = False
        elif (hit := self.query_one(Rows).marked) is not None:
            self._end(hit)

    def on_rows_taken(self) -> None:
        """A click on the marked one goes there."""
        self.action_take()

    def on_rows_marked(self) -> None:
        """Another one is marked."""
        self._show_passage()

    def action_leave(self) -> None:
        """Back to where one was."""
        self._end(None)

    def _end(self, hit: Hit | None) -> None:
        self.dismiss(Searched(self._asked._replace(at=self.query_one(Rows).at), hit))

    # --- drawing ---

    def _lines(self, hit: Hit, width: int) -> list[Text]:
        """Two lines: where it stands and when it was said, and what is around the words."""
        rows = self.query_one(Rows)
        faint = rows.get_component_rich_style("rows--faint", partial=True)
        when = local_time(hit.created_at)[:16]
        right = Text.assemble((f" {when} " if when and width >= 2 * len(when) else "", faint))
        head = Text.assemble((_title(hit), "bold"), (f"  {_kind(hit)}", faint))
        head.truncate(max(1, width - right.cell_len), overflow="ellipsis", pad=True)
        head.append_text(right)
        return [head, Text("  ").append_text(self._marked(safe_line(hit.snippet)))]

    def _marked(self, text: str) -> Text:
        found = self.query_one(Rows).get_component_rich_style("rows--found", partial=True)
        return marked(text, self._words, found)

    def _show_passage(self) -> None:
        """The whole of the marked passage, from a little above the words."""
        panel = self.query_one("#passage", VerticalScroll)
        hit = self.query_one(Rows).marked
        if panel.has_class("hidden"):
            return
        shown = from_words(safe(hit.text), self._words) if hit else ""
        panel.query_one(Static).update(self._marked(shown))
        panel.scroll_home(animate=False)


def search(ws: Workspace, asked: Asked, limit: int, session_id: str | None) -> list[Hit]:
    """What is found, in the reader's thread."""
    since = None if asked.days is None else datetime.now(UTC) - timedelta(days=asked.days)
    return ws.search(
        as_typed(asked.words),
        where=("all", "sessions", "sessions", "memory")[asked.where],
        role=asked.role,
        since=since,
        session=session_id if asked.where == HERE else None,
        sort="newest" if asked.newest else "relevance",
        limit=limit,
    )


def _after(values: tuple[T, ...] | list[T], now: T, by: int = 1) -> T:
    return values[(values.index(now) + by) % len(values)] if now in values else values[0]


def _title(hit: Hit) -> str:
    if hit.kind == "fact":
        return "Facts"
    if hit.kind == "snapshot":
        return "About you"
    named = hit.name or hit.topic or hit.session_id
    return safe_line(named or hit.path.rpartition("/")[2])


def _kind(hit: Hit) -> str:
    if hit.kind == "message":
        return {"user": "you", "assistant": "answer"}.get(hit.role or "", safe_line(hit.role or ""))
    section = safe_line(hit.section or "")
    if hit.kind == "summary":
        return "summary" + (f" › {section}" if section not in ("", "Summary") else "")
    return section
