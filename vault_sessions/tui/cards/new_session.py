"""A form for a new conversation: a name, who answers, with which model, and a skill."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from vault_sessions.model import OFFLINE
from vault_sessions.tui.widgets.combo import Combo, Known
from vault_sessions.tui.widgets.keys import Keys

FIELDS = ("name", "provider", "model", "skill")


class NewSession(NamedTuple):
    """What was filled in; None: left to the settings."""

    name: str | None = None
    provider: str | None = None
    model: str | None = None
    skill: str | None = None


class Offer(NamedTuple):
    """What can be chosen, and what is chosen where nothing is filled in."""

    providers: Sequence[Known]
    skills: Sequence[Known]
    provider: str
    skill: str | None = None


class NewSessionScreen(ModalScreen[NewSession | None]):
    """Its result is what was filled in, once ``check`` has no fault to find in it.

    ``check`` gives the faults by field; ``models`` the names a provider's server gives, none
    where it gives none, perhaps after a while.
    """

    BINDINGS = [
        Binding("enter", "begin", "Begin", priority=True),
        Binding("tab", "next(1)", "Next field", priority=True),
        Binding("shift+tab", "next(-1)", "Field before", show=False, priority=True),
        Binding("down", "move(1)", "Choose", key_display="↑↓", priority=True),
        Binding("up", "move(-1)", "Choose", show=False, priority=True),
        Binding("escape", "leave", "Back", priority=True),
    ]

    def __init__(
        self,
        offer: Offer,
        check: Callable[[NewSession], Awaitable[dict[str, str]]],
        models: Callable[[str], Awaitable[list[str]]],
    ) -> None:
        super().__init__()
        self._offer = offer
        self._check = check
        self._models = models
        self._asked = ""

    def compose(self) -> ComposeResult:
        """A field for each, with what can be chosen and what is wrong beneath it."""
        offer = self._offer
        with VerticalScroll(classes="card form", can_focus=False):
            yield Static("New conversation", classes="where")
            yield Combo("name", "none: it is called by its topic")
            yield Combo("provider", offer.provider, offer.providers)
            yield Combo("model", "the provider's own")
            yield Combo("skill", offer.skill or "none", offer.skills)
        yield Keys()

    def on_mount(self) -> None:
        """The name first; the models as they are known."""
        self._combo("name").focus_line()
        self._find_models(self._offer.provider)

    def _combo(self, name: str) -> Combo:
        return self.query_one(f"#{name}", Combo)

    def on_input_changed(self, event: Input.Changed) -> None:
        """Another provider has other models."""
        provider = self._combo("provider").value or self._offer.provider
        known = {one.value for one in self._offer.providers}
        if provider != self._asked and provider in known:
            self._find_models(provider)

    @work(exclusive=True, group="models")
    async def _find_models(self, provider: str) -> None:
        self._asked = provider
        model = self._combo("model")
        own = next((one.about for one in self._offer.providers if one.value == provider), "")
        model.offer([], own or "the provider's own")
        if provider == OFFLINE:
            model.say("The offline assistant is no model.")
            return
        model.say(f"asking {provider} for its models …")
        found = await self._models(provider)
        model.offer([Known(name) for name in found], own or "the provider's own")
        model.say("" if found else f"{provider} gives no list of models: type one's name.")

    def action_next(self, by: int) -> None:
        """To another field, with what is marked in this one."""
        here = next((i for i, name in enumerate(FIELDS) if self._combo(name).has_keys), 0)
        self._combo(FIELDS[here]).take()
        self._combo(FIELDS[(here + by) % len(FIELDS)]).focus_line()

    def action_move(self, by: int) -> None:
        """Mark another one of what can be chosen; where there is none, to another field."""
        here = next((name for name in FIELDS if self._combo(name).has_keys), FIELDS[0])
        if not self._combo(here).move(by):
            self.action_next(by)

    @work(exclusive=True, group="begin")
    async def action_begin(self) -> None:
        """Take what is marked; else begin, or say beside the field what is wrong with it."""
        if any(self._combo(name).take() for name in FIELDS):
            return
        values = {name: self._combo(name).value or None for name in FIELDS}
        filled = NewSession(**values)
        faults = await self._check(filled)
        for name, text in faults.items():
            self._combo(name).say(text, is_fault=True)
        if faults:
            self._combo(next(iter(faults))).focus_line()
        else:
            self.dismiss(filled)

    def action_leave(self) -> None:
        """Begin nothing."""
        self.dismiss(None)
