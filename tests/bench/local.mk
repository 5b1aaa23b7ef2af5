# make bench: Facteur beside Debian's Postfix and Dovecot. BENCH_ROWS="smtp login" for parts, BENCH_QUICK=1 for a
# short run, BENCH_ROUNDS=N.
EXTRA_PROGRAMS += %reldir%/load
CLEANFILES += %reldir%/load$(EXEEXT)
%canon_reldir%_load_SOURCES = %reldir%/load.c %reldir%/load.h %reldir%/loop.c %reldir%/loop.h \
	%reldir%/figures.c %reldir%/load_smtp.c %reldir%/load_imap.c %reldir%/load_mixed.c \
	%reldir%/load_limit.c %reldir%/load_ldap.c %reldir%/load_directory.c
%canon_reldir%_load_LDADD = $(TESTMASTER_LIBS) $(OPENSSL_LIBS) $(LDAP_LIBS) -lpthread

bench: all %reldir%/load$(EXEEXT)
	FACTEUR_SRCDIR='$(abs_top_srcdir)' FACTEUR_BUILDDIR='$(abs_top_builddir)' \
		BENCH_LOAD="$(abs_builddir)/%reldir%/load$(EXEEXT)" \
		python3 $(srcdir)/%reldir%/bench.py $(BENCH_ROWS)
.PHONY: bench

EXTRA_DIST += %reldir%/bench.py %reldir%/growth.py %reldir%/machine.py %reldir%/mailbox.py \
	%reldir%/measure.py %reldir%/peers.py %reldir%/people.py \
	%reldir%/report.py %reldir%/rows.py %reldir%/servers.py %reldir%/NOTES %reldir%/results

TESTS += tests/system/bench_tables.py
EXTRA_DIST += tests/system/bench_tables.py
