# The fuzzer of threads and base subjects; see tests/fuzz/local.mk.
EXTRA_DIST += tests/fuzz/fuzz_thread.c
FUZZ_THREAD_FILES = server/session/search_thread.c $(FUZZ_MAIL_FILES)

fuzz_thread: config.h $(FUZZ_THREAD_FILES) tests/fuzz/fuzz_thread.c
	$(AM_V_CC)$(FUZZ_CC) $(DEFAULT_INCLUDES) $(AM_CPPFLAGS) $(FUZZ_FLAGS) -o $@ \
		$(top_srcdir)/tests/fuzz/$@.c \
		$$(for f in $(FUZZ_THREAD_FILES); do case $$f in \
			*.c) echo $(top_srcdir)/$$f;; esac; done) $(FUZZ_MAIL_LIBS)

fuzz-thread: fuzz_thread
	mkdir -p fuzz-corpus/$<
	./$< -max_total_time=$(FUZZ_SECONDS) -timeout=10 -max_len=20000 -print_final_stats=1 \
		fuzz-corpus/$<

fuzz: fuzz-thread
.PHONY: fuzz-thread
CLEANFILES += fuzz_thread
