TESTS += %reldir%/imap_agreement.py %reldir%/client_sync.py
EXTRA_DIST += %reldir%/imap_agreement.py %reldir%/client_sync.py
