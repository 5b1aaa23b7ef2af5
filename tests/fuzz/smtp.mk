# The fuzzers of the SMTP grammar; see tests/fuzz/local.mk.
EXTRA_DIST += tests/fuzz/fuzz_smtp_command.c tests/fuzz/fuzz_smtp_data.c tests/fuzz/smtp.dict \
	tests/corpus/smtp
FUZZ_SMTP = fuzz_smtp_command fuzz_smtp_data
FUZZ_SMTP_FILES = $(libsmtp_a_SOURCES) $(libsasl_a_SOURCES) $(libmail_a_SOURCES) $(libbase_a_SOURCES)

$(FUZZ_SMTP): config.h $(FUZZ_SMTP_FILES)
	$(AM_V_CC)$(FUZZ_CC) $(DEFAULT_INCLUDES) $(AM_CPPFLAGS) $(FUZZ_FLAGS) -o $@ \
		$(top_srcdir)/tests/fuzz/$@.c \
		$$(for f in $(FUZZ_SMTP_FILES); do case $$f in \
			*.c) echo $(top_srcdir)/$$f;; esac; done) $(FUZZ_MAIL_LIBS)

fuzz-smtp: $(FUZZ_SMTP)
	for f in $(FUZZ_SMTP); do \
		mkdir -p fuzz-corpus/$$f && ./$$f -max_total_time=$(FUZZ_SECONDS) -timeout=10 -max_len=20000 \
			-print_final_stats=1 -dict=$(top_srcdir)/tests/fuzz/smtp.dict \
			fuzz-corpus/$$f $(top_srcdir)/tests/corpus/smtp || exit 1; \
	done

fuzz: fuzz-smtp
.PHONY: fuzz-smtp
CLEANFILES += $(FUZZ_SMTP)
