"""A conversation from its opening to its first mark of an ending: turns, resumption, leases.

Everything that is written goes through ``Desk.saved``, so that the workspace can mirror it at once;
what is needed from the mirror is handed in (``Desk.recall``).
"""
