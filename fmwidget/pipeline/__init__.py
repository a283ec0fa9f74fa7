"""From a view state to its frame, everything on screen.

May import `references` and all packages before it.
"""
