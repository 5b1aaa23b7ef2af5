# Broken on purpose. BROKEN_TESTS are short in `make check`; `make soak` and `make torment` are long.
BROKEN_TESTS = %reldir%/kills.py %reldir%/scarce.py %reldir%/network_cut.py %reldir%/overload.py \
	%reldir%/slapd_trouble.py %reldir%/soak.py
TESTS += $(BROKEN_TESTS)
EXTRA_DIST += $(BROKEN_TESTS) tests/lib/load.py tests/lib/watch.py

.PHONY: soak torment
soak: all
	$(AM_TESTS_ENVIRONMENT) SOAK=3600 python3 $(srcdir)/%reldir%/soak.py
torment: all
	$(AM_TESTS_ENVIRONMENT) KILLS=200 python3 $(srcdir)/%reldir%/kills.py
	$(AM_TESTS_ENVIRONMENT) CUTS=20 python3 $(srcdir)/%reldir%/network_cut.py
	$(AM_TESTS_ENVIRONMENT) python3 $(srcdir)/%reldir%/slapd_trouble.py
	$(AM_TESTS_ENVIRONMENT) python3 $(srcdir)/%reldir%/overload.py
