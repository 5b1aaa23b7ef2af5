# The fuzzer of what milters send and of edits; see tests/fuzz/local.mk.
EXTRA_DIST += tests/fuzz/fuzz_milter.c tests/corpus/milter
FUZZ_MILTER_FILES = $(libmilter_a_SOURCES) server/mail/header.c server/mail/wire.c $(libbase_a_SOURCES)

fuzz_milter: config.h $(FUZZ_MILTER_FILES) tests/fuzz/fuzz_milter.c
	$(AM_V_CC)$(FUZZ_CC) $(DEFAULT_INCLUDES) $(AM_CPPFLAGS) $(FUZZ_FLAGS) -o $@ \
		$(top_srcdir)/tests/fuzz/$@.c \
		$$(for f in $(FUZZ_MILTER_FILES); do case $$f in \
			*.c) echo $(top_srcdir)/$$f;; esac; done) $(SODIUM_LIBS) -lpthread

fuzz-milter: fuzz_milter
	mkdir -p fuzz-corpus/$<
	./$< -max_total_time=$(FUZZ_SECONDS) -timeout=10 -max_len=4000 -print_final_stats=1 \
		fuzz-corpus/$< $(top_srcdir)/tests/corpus/milter

fuzz: fuzz-milter
.PHONY: fuzz-milter
CLEANFILES += fuzz_milter
