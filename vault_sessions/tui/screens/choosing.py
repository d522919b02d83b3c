"""What is asked before a conversation begins or changes: who answers, with what, and how."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from vault_sessions.model import OFFLINE
from vault_sessions.tui.app import ChatApp
from vault_sessions.tui.cards.choose import Choice, ChooseScreen
from vault_sessions.tui.cards.new_session import NewSession, NewSessionScreen, Offer
from vault_sessions.tui.talk import View
from vault_sessions.tui.widgets.combo import Known

if TYPE_CHECKING:
    from vault_sessions.workspace import Workspace
    from vault_sessions.workspace.models import Answering

_NO_SKILL = "none"


class Model(NamedTuple):
    """Who answers, and with which model; empty: their own."""

    provider: str
    model: str


async def fill_form(app: ChatApp) -> NewSession | None:
    """What a new conversation is to be, once nothing is wrong with it; None: there is none."""

    def offer(ws: Workspace) -> Offer:
        settings = ws.settings
        providers = [Known(one.name, _about(one)) for one in ws.models.providers()]
        skills = [Known(stem, skill.description) for stem, skill in ws.chat.skills().items()]
        return Offer(providers, skills, settings.default_provider, settings.default_skill)

    async def check(wanted: NewSession) -> dict[str, str]:
        return await app.reader.do(lambda ws: ws.chat.check_new(**wanted._asdict()))

    async def models(provider: str) -> list[str]:
        return await app.asker.do(lambda ws: ws.models.of(provider))

    return await app.push_screen_wait(NewSessionScreen(await app.reader.do(offer), check, models))


async def choose_model(app: ChatApp, view: View) -> Model | None:
    """Another provider, then one of its models; None: as it is."""
    found = await app.reader.do(lambda ws: ws.models.providers())
    known = [Choice(one.name, one.name, one.fault or _about(one), one.fault) for one in found]
    provider = await app.push_screen_wait(ChooseScreen("Provider", known, now=view.provider))
    if provider is None:
        return None
    if provider == OFFLINE:
        return Model(provider, "")

    async def more() -> list[Choice]:
        names = await app.asker.do(lambda ws: ws.models.of(provider))
        return [Choice(name, name) for name in names]

    own = next((one.model for one in found if one.name == provider), None)
    model = await app.push_screen_wait(
        ChooseScreen(
            f"Model of {provider}",
            [Choice("", "the provider's own", own or "")],
            now=(view.model or "") if provider == view.provider else "",
            free=True,
            more=more,
            what="models",
        )
    )
    return None if model is None else Model(provider, model)


async def choose_skill(app: ChatApp, now: str | None) -> str | None:
    """A skill by its stem, empty for none at all; None: as it is."""
    skills = await app.reader.do(lambda ws: ws.chat.skills())
    here = (now or "").casefold()
    used = next((s for s, one in skills.items() if here in (s.casefold(), one.name.casefold())), "")
    choices = [Choice("", _NO_SKILL)]
    choices += [Choice(stem, stem, skill.description) for stem, skill in skills.items()]
    title = "Skill" if skills else "Skill: none yet. One is a Markdown file in atlas/skills/"
    return await app.push_screen_wait(ChooseScreen(title, choices, now=used))


def _about(one: Answering) -> str:
    if one.name == OFFLINE:
        return "no model: looks things up in your vault"
    return one.model or "the provider's own model"
