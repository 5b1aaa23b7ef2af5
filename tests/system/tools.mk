# Tests of the administrator's commands around the directory, and of the maps under conf/.
TOOLS_TESTS = %reldir%/bind_secret.py %reldir%/explain.py %reldir%/people.py %reldir%/lint.py \
	%reldir%/ready_maps.py
TESTS += $(TOOLS_TESTS)
EXTRA_DIST += $(TOOLS_TESTS) tests/lib/schemas.py
