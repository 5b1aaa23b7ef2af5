TESTS += %reldir%/imap_agreement.py %reldir%/client_sync.py %reldir%/roundcube.py
EXTRA_DIST += %reldir%/imap_agreement.py %reldir%/client_sync.py %reldir%/roundcube.py

# Thunderbird itself; wants the packages thunderbird and libnss3-tools.
check-thunderbird: all
	FACTEUR_SRCDIR='$(abs_top_srcdir)' FACTEUR_BUILDDIR='$(abs_top_builddir)' \
		python3 $(srcdir)/%reldir%/thunderbird.py
.PHONY: check-thunderbird
EXTRA_DIST += %reldir%/thunderbird.py
