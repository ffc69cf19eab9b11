"""Requests from admission to the last token: preparing, scheduling, and the one engine thread."""
