"""Which compaction is in force?"""

from __future__ import annotations

from collections.abc import Sequence

from vault_sessions.formats.transcript import covered_hash
from vault_sessions.model import Compaction, Message


def in_force(
    branch: Sequence[Message], compactions: Sequence[Compaction]
) -> tuple[Compaction, int] | None:
    """The last compaction that covers the branch as it is now, and how many messages it covers.

    Not one whose last message is not on the branch, nor one that covers a message edited since.
    """
    places = {message.id: index for index, message in enumerate(branch)}
    for compaction in reversed(compactions):
        through = places.get(compaction.through_message_id)
        if through is None:
            continue
        if covered_hash(branch[: through + 1]) == compaction.covered_hash:
            return compaction, through + 1
    return None
