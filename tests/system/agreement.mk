TESTS += %reldir%/imap_agreement.py
EXTRA_DIST += %reldir%/imap_agreement.py
