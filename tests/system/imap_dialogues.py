#!/usr/bin/env python3
"""Runs every tests/dialogues/imap/*.txt against the session program (tests/lib/session_dialogues.py).
TAP: one line a dialogue. Arguments: names of dialogues to run."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from session_dialogues import Conversation, run_all  # noqa: E402


class Imap(Conversation):
    protocol = "imap"


os.environ["TZ"] = "UTC"
sys.exit(run_all(Imap))
