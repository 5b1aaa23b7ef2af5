# Unit tests: one CUnit program a room; each lists itself in tests/unit/local.mk.
include tests/unit/local.mk
include tests/system/local.mk
include tests/system/mail.mk
include tests/fuzz/local.mk
include tests/lib/ipc/local.mk
include tests/lib/fakes/local.mk
EXTRA_DIST += tests/rfc-index
include tests/bench/local.mk
include tests/fault/local.mk

# A test that is run by hand must not meet an older program of its own than the sources: once they were built
# (by make check), make keeps them as new as the rest.
all-local: $(LIBRARIES) $(PROGRAMS)
	@test ! -e dirclient || $(MAKE) -s $(AM_MAKEFLAGS) delivclient dirclient fakeworld mail-dump $(check_DATA)

# What the compiler's sanitizers do not see: valgrind over the unit tests (what the system call filters refuse
# it does not survive; the registers are kept exactly, for a fault that a handler mends and that goes on), and
# ThreadSanitizer, in tsan-build/, over the programs that have threads. Its memory map
# wants addresses that are not random. A helper thread that is inside of a library at the end is left there.
VALGRIND = env UNIT_UNDER_VALGRIND=1 valgrind -q --error-exitcode=99 --leak-check=full --show-leak-kinds=definite \
	--errors-for-leak-kinds=definite --vex-iropt-register-updates=allregs-at-each-insn \
	--suppressions=$(abs_top_srcdir)/tests/unit/valgrind.supp
EXTRA_DIST += tests/unit/valgrind.supp
THREAD_RUN = unit-directory.t unit-relay.t unit-base.t unit-queue-files.t tests/system/directory.py \
	tests/system/picture.py tests/system/sasl.py tests/system/relay.py tests/system/relay_sts.py \
	tests/system/queue_deliver.py
.PHONY: check-valgrind check-tsan
check-valgrind:
	$(MAKE) check T_LOG_COMPILER='$(VALGRIND)' \
	  TESTS="$$(echo $(TESTS) | tr ' ' '\n' | grep '^unit-' | grep -v '^unit-confine' | tr '\n' ' ')"
check-tsan:
	$(MKDIR_P) tsan-build
	test -f tsan-build/Makefile || \
	  (cd tsan-build && $(abs_top_srcdir)/configure -q --enable-sanitizers=thread)
	cd tsan-build && $(MAKE) check TESTS= && \
	  TSAN_OPTIONS='halt_on_error=1 report_thread_leaks=0' setarch -R $(MAKE) check-TESTS TESTS='$(THREAD_RUN)'
