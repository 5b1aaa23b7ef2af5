# The fuzzer of the IMAP grammar; see tests/fuzz/local.mk.
EXTRA_DIST += tests/fuzz/fuzz_imap_command.c tests/fuzz/imap.dict tests/corpus/imap
FUZZ_IMAP_FILES = $(libimap_a_SOURCES) $(libbase_a_SOURCES)

fuzz_imap_command: config.h $(FUZZ_IMAP_FILES) tests/fuzz/fuzz_imap_command.c
	$(AM_V_CC)$(FUZZ_CC) $(DEFAULT_INCLUDES) $(AM_CPPFLAGS) $(FUZZ_FLAGS) -o $@ \
		$(top_srcdir)/tests/fuzz/$@.c \
		$$(for f in $(FUZZ_IMAP_FILES); do case $$f in \
			*.c) echo $(top_srcdir)/$$f;; esac; done) $(SODIUM_LIBS) -lpthread

fuzz-imap: fuzz_imap_command
	mkdir -p fuzz-corpus/$<
	./$< -max_total_time=$(FUZZ_SECONDS) -timeout=10 -max_len=4000 -print_final_stats=1 \
		-dict=$(top_srcdir)/tests/fuzz/imap.dict fuzz-corpus/$< $(top_srcdir)/tests/corpus/imap

fuzz: fuzz-imap
.PHONY: fuzz-imap
CLEANFILES += fuzz_imap_command
