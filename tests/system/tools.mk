# Tests of the administrator's commands around the directory, and of the maps under conf/.
TOOLS_TESTS = %reldir%/bind_secret.py %reldir%/explain.py %reldir%/people.py %reldir%/lint.py \
	%reldir%/ready_maps.py
TESTS += $(TOOLS_TESTS)
EXTRA_DIST += $(TOOLS_TESTS) tests/lib/schemas.py tests/lib/dirsrv.py

# The whole of what make check takes a slice of: ldapmap against postmap -q.
EXTRA_DIST += %reldir%/ldapmap_generated.py
TESTS += %reldir%/ldapmap_generated.py
check-ldapmap: all
	FACTEUR_SRCDIR='$(abs_top_srcdir)' FACTEUR_BUILDDIR='$(abs_top_builddir)' \
	  python3 $(srcdir)/%reldir%/ldapmap_generated.py --whole
.PHONY: check-ldapmap
