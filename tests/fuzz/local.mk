# Fuzzers: "make fuzz" builds them with clang (FUZZ_CC) beside the normal build and runs each for
# FUZZ_SECONDS on its part of tests/corpus. A finding is left as crash-… in the build folder.
EXTRA_DIST += \
	%reldir%/fuzz_mime.c %reldir%/fuzz_address.c %reldir%/fuzz_header.c %reldir%/mail.dict

FUZZ_CC = clang
FUZZ_SECONDS = 60
FUZZ_FLAGS = -g -O1 -std=gnu17 -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=undefined \
	-DFACTEUR_SANITIZERS=1
FUZZ_MAIL_FILES = $(libmail_a_SOURCES) $(libbase_a_SOURCES)
FUZZ_MAIL_LIBS = $(SODIUM_LIBS) $(UNISTRING_LIBS) $(IDN2_LIBS) -lpthread
FUZZ_MAIL = fuzz_mime fuzz_address fuzz_header

$(FUZZ_MAIL): config.h $(FUZZ_MAIL_FILES) $(FUZZ_MAIL:%=tests/fuzz/%.c)
	$(AM_V_CC)$(FUZZ_CC) $(DEFAULT_INCLUDES) $(AM_CPPFLAGS) $(FUZZ_FLAGS) -o $@ \
		$(top_srcdir)/tests/fuzz/$@.c \
		$$(for f in $(FUZZ_MAIL_FILES); do case $$f in \
			*.c) echo $(top_srcdir)/$$f;; esac; done) $(FUZZ_MAIL_LIBS)

fuzz-mail: $(FUZZ_MAIL)
	for f in $(FUZZ_MAIL); do \
		mkdir -p fuzz-corpus/$$f && ./$$f -max_total_time=$(FUZZ_SECONDS) -timeout=10 -max_len=65536 \
			-print_final_stats=1 -dict=$(top_srcdir)/tests/fuzz/mail.dict \
			fuzz-corpus/$$f $(top_srcdir)/tests/corpus/mime || exit 1; \
	done

fuzz: fuzz-mail
.PHONY: fuzz fuzz-mail
CLEANFILES += $(FUZZ_MAIL)
include tests/fuzz/imap.mk
include tests/fuzz/search.mk
include tests/fuzz/pop3.mk
include tests/fuzz/milter.mk
include tests/fuzz/proxy.mk
include tests/fuzz/smtp.mk
