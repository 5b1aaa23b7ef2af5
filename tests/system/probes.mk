# What is tried by who means no good.
PROBE_TESTS = %reldir%/probes.py
TESTS += $(PROBE_TESTS)
EXTRA_DIST += $(PROBE_TESTS)
