POP3_TESTS = %reldir%/pop3_dialogues.py %reldir%/pop3_dovecot.py %reldir%/pop3_clients.py
TESTS += $(POP3_TESTS)
EXTRA_DIST += $(POP3_TESTS) tests/dialogues/pop3
