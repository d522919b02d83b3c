"""``ws.models``: who can be asked for an answer, and what is missing where one can't."""

from __future__ import annotations

from typing import NamedTuple

from vault_sessions import config
from vault_sessions.errors import ProviderError, ProviderUnusable
from vault_sessions.model import LOCAL, OFFLINE
from vault_sessions.workspace.core import Core


class Answering(NamedTuple):
    """Who can be asked: the ``model`` they have by themselves, and why they can't be asked now."""

    name: str
    model: str | None
    fault: str


class Models:
    """The offline assistant and the providers that the settings know."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def providers(self) -> list[Answering]:
        """Who can be asked to answer: the offline assistant, and all that the settings know."""
        found = [Answering(OFFLINE, None, "")]
        for name, provider in sorted(self._core.settings.providers.items()):
            fault = ""
            try:
                self.check(name)
            except ProviderError as error:
                fault = str(error)
            found.append(Answering(name, provider.model, fault))
        return found

    def of(self, provider: str) -> list[str]:
        """The models that a provider's server names; none where it can't be asked."""
        from vault_sessions.assistant import provider as providers

        known = self._core.settings.providers
        if provider not in known:
            return []
        try:
            return providers.listed(known[provider], self._core.environment)
        except ProviderError:
            return []

    def check(self, provider: str) -> None:
        """Raises ProviderUnusable, saying what to set, for one that can't be asked."""
        from vault_sessions.assistant import provider as providers
        from vault_sessions.lifecycle import opening

        settings = self._core.settings
        opening.check_provider(settings, provider)
        if provider != OFFLINE:
            providers.check(settings.providers[provider], self._core.environment)

    def named(self, given: str) -> tuple[str | None, str | None]:
        """The provider and the model that somebody means by ``PROVIDER``, ``PROVIDER MODEL`` or
        ``MODEL``; None: the present one. Raises ProviderUnusable for two words of which the first
        is no provider."""
        first, _, rest = given.strip().partition(" ")
        if first == OFFLINE or first in self._core.settings.providers:
            return first, rest.strip() or None
        if rest:
            known = ", ".join([OFFLINE, *sorted(self._core.settings.providers)])
            raise ProviderUnusable(
                f"There is no provider {first!r} (and no model has a blank in its name).\n"
                f"Say /model PROVIDER MODEL, /model PROVIDER or /model MODEL; providers: {known}."
            )
        return None, first

    def hints(self) -> list[str]:
        """Where nobody was chosen to answer: who could be. Once for a key, each time for a server
        that runs on this machine."""
        if self._core.settings.provider_chosen:
            return []
        told = [
            f"{name} is running on this machine: chat -p {name} talks to it."
            for name in self.running()
        ]
        for variable, name in self.unused_keys():
            if variable == config.PRESETS[name].api_key_env:
                told.append(
                    f"{variable} is set: chat -p {name} would use it "
                    f"(always: vault-sessions config set ai.default_provider {name})."
                )
        return told

    def running(self) -> list[str]:
        """Model servers on this machine that answer, when no provider was ever chosen."""
        settings = self._core.settings
        if settings.provider_chosen:
            return []
        from vault_sessions.assistant.local import running

        return running(settings.providers[name] for name in LOCAL)

    def unused_keys(self) -> list[tuple[str, str]]:
        """Keys in the environment for which no provider was chosen, as (variable, provider); each
        is told once."""
        core, open_one = self._core, self._core.held.conversation
        private = open_one is not None and open_one.private
        if core.settings.provider_chosen or private:  # what was told once is kept
            return []
        return [
            (provider.api_key_env, provider.name)
            for provider in core.settings.providers.values()
            if provider.api_key_env
            and core.environment.get(provider.api_key_env)
            and core.state.first_time(f"key-{provider.name}")
        ]
