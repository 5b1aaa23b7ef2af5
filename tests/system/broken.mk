# Broken on purpose. BROKEN_TESTS are short in `make check`; `make soak` and `make torment` are long.
BROKEN_TESTS = %reldir%/kills.py %reldir%/scarce.py %reldir%/network_cut.py %reldir%/overload.py \
	%reldir%/slapd_trouble.py %reldir%/soak.py %reldir%/power_cut.py
TESTS += $(BROKEN_TESTS)
EXTRA_DIST += $(BROKEN_TESTS) tests/lib/load.py tests/lib/watch.py

.PHONY: soak torment
soak: all
	$(AM_TESTS_ENVIRONMENT) SOAK=3600 python3 $(srcdir)/%reldir%/soak.py
torment: all
	$(AM_TESTS_ENVIRONMENT) failed=0; KILLS=200 CUTS=20; export KILLS CUTS; \
		for test in kills network_cut slapd_trouble overload; do \
			python3 $(srcdir)/%reldir%/$$test.py || failed=1; \
		done; exit $$failed
