# What is tried by who means no good, and what strangers' tools find.
PROBE_TESTS = %reldir%/probes.py %reldir%/tls_scanners.py
TESTS += $(PROBE_TESTS)
EXTRA_DIST += $(PROBE_TESTS)

# Minutes a port; wants the package testssl.sh.
check-tls: all
	FACTEUR_SRCDIR='$(abs_top_srcdir)' FACTEUR_BUILDDIR='$(abs_top_builddir)' \
		python3 $(srcdir)/tests/system/tls_scanners.py testssl
.PHONY: check-tls
