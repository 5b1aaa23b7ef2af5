# Broken on purpose. Each has a short form in `make check`; `make torment` is the long one of the kills.
BROKEN_TESTS = %reldir%/kills.py
TESTS += $(BROKEN_TESTS)
EXTRA_DIST += $(BROKEN_TESTS) tests/lib/load.py

.PHONY: torment
torment: all
	$(AM_TESTS_ENVIRONMENT) KILLS=200 python3 $(srcdir)/%reldir%/kills.py
