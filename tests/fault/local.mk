# The libraries that tests/lib/faults.py preloads: built without the sanitizers, which bring a malloc of
# their own. `make crashpoints` tries every point; it takes hours.
if SANITIZERS
FAULT_CPPFLAGS = -DFAULT_NO_MALLOC
endif

FAULT_COMPILE = $(CC) $(FAULT_CPPFLAGS) $(CPPFLAGS) $(CFLAGS) $(WARN_CFLAGS) -D_GNU_SOURCE -fPIC -shared
check_DATA = tests/fault/fault.so tests/fault/intruder.so tests/fault/clock.so tests/fault/scarce.so
tests/fault/fault.so: %reldir%/fault.c %reldir%/fault.h %reldir%/opens.h
	$(AM_V_CC)$(MKDIR_P) tests/fault && $(FAULT_COMPILE) -o $@ $(srcdir)/%reldir%/fault.c
tests/fault/intruder.so: %reldir%/intruder.c
	$(AM_V_CC)$(MKDIR_P) tests/fault && $(FAULT_COMPILE) -o $@ $(srcdir)/%reldir%/intruder.c
tests/fault/clock.so: %reldir%/clock.c
	$(AM_V_CC)$(MKDIR_P) tests/fault && $(FAULT_COMPILE) -o $@ $(srcdir)/%reldir%/clock.c
tests/fault/scarce.so: %reldir%/scarce.c %reldir%/opens.h
	$(AM_V_CC)$(MKDIR_P) tests/fault && $(FAULT_COMPILE) -o $@ $(srcdir)/%reldir%/scarce.c
CLEANFILES += $(check_DATA)

TESTS += tests/system/crashpoints.py tests/system/intruder.py
EXTRA_DIST += tests/system/crashpoints.py tests/system/intruder.py tests/lib/day.py \
	tests/lib/faults.py %reldir%/fault.c %reldir%/fault.h %reldir%/opens.h %reldir%/intruder.c %reldir%/clock.c \
	%reldir%/scarce.c

.PHONY: crashpoints
crashpoints: all tests/fault/fault.so
	$(AM_TESTS_ENVIRONMENT) CRASHPOINTS=all python3 $(srcdir)/tests/system/crashpoints.py
