# The fuzzer of the POP3 grammar; see tests/fuzz/local.mk.
EXTRA_DIST += tests/fuzz/fuzz_pop3.c tests/fuzz/pop3.dict tests/corpus/pop3
FUZZ_POP3_FILES = $(libpop3_a_SOURCES) $(libbase_a_SOURCES)

fuzz_pop3: config.h $(FUZZ_POP3_FILES) tests/fuzz/fuzz_pop3.c
	$(AM_V_CC)$(FUZZ_CC) $(DEFAULT_INCLUDES) $(AM_CPPFLAGS) $(FUZZ_FLAGS) -o $@ \
		$(top_srcdir)/tests/fuzz/$@.c \
		$$(for f in $(FUZZ_POP3_FILES); do case $$f in \
			*.c) echo $(top_srcdir)/$$f;; esac; done) $(SODIUM_LIBS) -lpthread

fuzz-pop3: fuzz_pop3
	mkdir -p fuzz-corpus/$<
	./$< -max_total_time=$(FUZZ_SECONDS) -timeout=10 -max_len=4000 -print_final_stats=1 \
		-dict=$(top_srcdir)/tests/fuzz/pop3.dict fuzz-corpus/$< $(top_srcdir)/tests/corpus/pop3

fuzz: fuzz-pop3
.PHONY: fuzz-pop3
CLEANFILES += fuzz_pop3
