# Tests of the whole, with every program, and of the sources themselves.
WHOLE_TESTS = %reldir%/rooms.py %reldir%/unit_exposure.py %reldir%/mail_flow.py %reldir%/clients.py %reldir%/crash.py \
	%reldir%/rights.py %reldir%/tls.py %reldir%/login_dialogues.py %reldir%/bad_entries.py %reldir%/logs.py
TESTS += $(WHOLE_TESTS)
EXTRA_DIST += $(WHOLE_TESTS) tests/dialogues/login tests/lib/tap.py tests/lib/instance.py
