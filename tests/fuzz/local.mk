# Fuzzers. "make check" compiles what they try a second time, with AddressSanitizer and UBSan, and runs
# each over its corpora and, for FUZZ_CHECK_SECONDS, over changed ones (tests/fuzz/replay.c); where TESTS=
# leaves that out they are not built. "make fuzz"
# has clang and libFuzzer, which see what an input reaches: FUZZ_SECONDS each, one after the other, in
# fuzz-build/; what is new there stays in fuzz-build/corpus.
FUZZERS = fuzz_mime fuzz_address fuzz_header fuzz_imap_command fuzz_thread fuzz_pop3 fuzz_milter \
	fuzz_smtp_command fuzz_smtp_data fuzz_smtp_values fuzz_config fuzz_message fuzz_relay \
	fuzz_ldapmap fuzz_store fuzz_squeeze fuzz_session_imap fuzz_session_pop3 fuzz_proxy \
	fuzz_session_smtp fuzz_session_access fuzz_policy fuzz_sasl fuzz_sts fuzz_token \
	fuzz_sendmail fuzz_bind fuzz_report fuzz_resume fuzz_session_relay
FUZZ_SECONDS = 60
FUZZ_CFLAGS = -fsanitize=address,undefined -fno-sanitize-recover=undefined
FUZZ_LINK = -fsanitize=address,undefined
FUZZ_OPTIMIZE = -g -O1 -fno-omit-frame-pointer -fPIE -UNDEBUG -DFACTEUR_SANITIZERS=1

EXTRA_LIBRARIES += libfuzzed.a
libfuzzed_a_SOURCES = $(libbase_a_SOURCES) $(libmail_a_SOURCES) $(libsmtp_a_SOURCES) \
	$(libsasl_a_SOURCES) $(libimap_a_SOURCES) $(libpop3_a_SOURCES) $(libmilter_a_SOURCES) \
	$(libconfig_a_SOURCES) $(librelay_a_SOURCES) $(libldapmap_a_SOURCES) $(libstore_a_SOURCES) \
	$(libsession_a_SOURCES) $(libpolicy_a_SOURCES) $(libfilter_a_SOURCES) server/ipc/message.c server/ipc/bundle.c \
	server/ipc/relayed.c server/ipc/replies.c server/ipc/rates.c server/ipc/counters.c \
	server/io/proxy.c server/io/addr.c
libfuzzed_a_CFLAGS = $(FUZZ_OPTIMIZE) $(FUZZ_CFLAGS)

# The functions, and the program around them that is not libFuzzer.
EXTRA_LIBRARIES += libfuzzreplay.a
libfuzzreplay_a_SOURCES = %reldir%/replay.c
libfuzzreplay_a_CFLAGS = $(WARN_CFLAGS) $(FUZZ_OPTIMIZE) $(FUZZ_CFLAGS)
FUZZ_MAIN = libfuzzreplay.a
FUZZ_LIBS = libfuzzed.a $(SODIUM_LIBS) $(UNISTRING_LIBS) $(IDN2_LIBS) $(SQLITE_LIBS) $(ZLIB_LIBS) \
	$(LDAP_LIBS) $(JANSSON_LIBS) -lpthread

EXTRA_PROGRAMS += $(FUZZERS)
CLEANFILES += $(FUZZERS) libfuzzed.a libfuzzreplay.a
fuzz_mime_SOURCES = %reldir%/fuzz_mime.c
fuzz_mime_CFLAGS = $(WARN_CFLAGS) $(FUZZ_OPTIMIZE) $(FUZZ_CFLAGS)
fuzz_mime_LDFLAGS = $(FUZZ_LINK)
fuzz_mime_LDADD = $(FUZZ_MAIN) $(FUZZ_LIBS)
fuzz_address_SOURCES = %reldir%/fuzz_address.c
fuzz_address_CFLAGS = $(WARN_CFLAGS) $(FUZZ_OPTIMIZE) $(FUZZ_CFLAGS)
fuzz_address_LDFLAGS = $(FUZZ_LINK)
fuzz_address_LDADD = $(FUZZ_MAIN) $(FUZZ_LIBS)
fuzz_header_SOURCES = %reldir%/fuzz_header.c
fuzz_header_CFLAGS = $(WARN_CFLAGS) $(FUZZ_OPTIMIZE) $(FUZZ_CFLAGS)
fuzz_header_LDFLAGS = $(FUZZ_LINK)
fuzz_header_LDADD = $(FUZZ_MAIN) $(FUZZ_LIBS)
fuzz_imap_command_SOURCES = %reldir%/fuzz_imap_command.c
fuzz_imap_command_CFLAGS = $(WARN_CFLAGS) $(FUZZ_OPTIMIZE) $(FUZZ_CFLAGS)
fuzz_imap_command_LDFLAGS = $(FUZZ_LINK)
fuzz_imap_command_LDADD = $(FUZZ_MAIN) $(FUZZ_LIBS)
fuzz_thread_SOURCES = %reldir%/fuzz_thread.c
fuzz_thread_CFLAGS = $(WARN_CFLAGS) $(FUZZ_OPTIMIZE) $(FUZZ_CFLAGS)
fuzz_thread_LDFLAGS = $(FUZZ_LINK)
fuzz_thread_LDADD = $(FUZZ_MAIN) $(FUZZ_LIBS)
fuzz_proxy_SOURCES = %reldir%/fuzz_proxy.c
fuzz_proxy_CFLAGS = $(WARN_CFLAGS) $(FUZZ_OPTIMIZE) $(FUZZ_CFLAGS)
fuzz_proxy_LDFLAGS = $(FUZZ_LINK)
fuzz_proxy_LDADD = $(FUZZ_MAIN) $(FUZZ_LIBS)
fuzz_pop3_SOURCES = %reldir%/fuzz_pop3.c
fuzz_pop3_CFLAGS = $(WARN_CFLAGS) $(FUZZ_OPTIMIZE) $(FUZZ_CFLAGS)
fuzz_pop3_LDFLAGS = $(FUZZ_LINK)
fuzz_pop3_LDADD = $(FUZZ_MAIN) $(FUZZ_LIBS)
fuzz_milter_SOURCES = %reldir%/fuzz_milter.c
fuzz_milter_CFLAGS = $(WARN_CFLAGS) $(FUZZ_OPTIMIZE) $(FUZZ_CFLAGS)
fuzz_milter_LDFLAGS = $(FUZZ_LINK)
fuzz_milter_LDADD = $(FUZZ_MAIN) $(FUZZ_LIBS)
fuzz_smtp_command_SOURCES = %reldir%/fuzz_smtp_command.c
fuzz_smtp_command_CFLAGS = $(WARN_CFLAGS) $(FUZZ_OPTIMIZE) $(FUZZ_CFLAGS)
fuzz_smtp_command_LDFLAGS = $(FUZZ_LINK)
fuzz_smtp_command_LDADD = $(FUZZ_MAIN) $(FUZZ_LIBS)
fuzz_smtp_data_SOURCES = %reldir%/fuzz_smtp_data.c
fuzz_smtp_data_CFLAGS = $(WARN_CFLAGS) $(FUZZ_OPTIMIZE) $(FUZZ_CFLAGS)
fuzz_smtp_data_LDFLAGS = $(FUZZ_LINK)
fuzz_smtp_data_LDADD = $(FUZZ_MAIN) $(FUZZ_LIBS)
fuzz_smtp_values_SOURCES = %reldir%/fuzz_smtp_values.c
fuzz_smtp_values_CFLAGS = $(WARN_CFLAGS) $(FUZZ_OPTIMIZE) $(FUZZ_CFLAGS)
fuzz_smtp_values_LDFLAGS = $(FUZZ_LINK)
fuzz_smtp_values_LDADD = $(FUZZ_MAIN) $(FUZZ_LIBS)
fuzz_config_SOURCES = %reldir%/fuzz_config.c
fuzz_config_CFLAGS = $(WARN_CFLAGS) $(FUZZ_OPTIMIZE) $(FUZZ_CFLAGS)
fuzz_config_LDFLAGS = $(FUZZ_LINK)
fuzz_config_LDADD = $(FUZZ_MAIN) $(FUZZ_LIBS)
fuzz_message_SOURCES = %reldir%/fuzz_message.c
fuzz_message_CFLAGS = $(WARN_CFLAGS) $(FUZZ_OPTIMIZE) $(FUZZ_CFLAGS)
fuzz_message_LDFLAGS = $(FUZZ_LINK)
fuzz_message_LDADD = $(FUZZ_MAIN) $(FUZZ_LIBS)
fuzz_relay_SOURCES = %reldir%/fuzz_relay.c
fuzz_relay_CFLAGS = $(WARN_CFLAGS) $(FUZZ_OPTIMIZE) $(FUZZ_CFLAGS)
fuzz_relay_LDFLAGS = $(FUZZ_LINK)
fuzz_relay_LDADD = $(FUZZ_MAIN) $(FUZZ_LIBS)
fuzz_ldapmap_SOURCES = %reldir%/fuzz_ldapmap.c
fuzz_ldapmap_CFLAGS = $(WARN_CFLAGS) $(FUZZ_OPTIMIZE) $(FUZZ_CFLAGS)
fuzz_ldapmap_LDFLAGS = $(FUZZ_LINK)
fuzz_ldapmap_LDADD = $(FUZZ_MAIN) $(FUZZ_LIBS)
fuzz_store_SOURCES = %reldir%/fuzz_store.c %reldir%/fuzz_place.c %reldir%/fuzz_place.h
fuzz_store_CFLAGS = $(WARN_CFLAGS) $(FUZZ_OPTIMIZE) $(FUZZ_CFLAGS)
fuzz_store_LDFLAGS = $(FUZZ_LINK)
fuzz_store_LDADD = $(FUZZ_MAIN) $(FUZZ_LIBS)
fuzz_squeeze_SOURCES = %reldir%/fuzz_squeeze.c
fuzz_squeeze_CFLAGS = $(WARN_CFLAGS) $(FUZZ_OPTIMIZE) $(FUZZ_CFLAGS)
fuzz_squeeze_LDFLAGS = $(FUZZ_LINK)
fuzz_squeeze_LDADD = $(FUZZ_MAIN) $(FUZZ_LIBS)
fuzz_session_imap_SOURCES = %reldir%/fuzz_session_imap.c \
	%reldir%/fuzz_session.c %reldir%/fuzz_session.h %reldir%/fuzz_place.c %reldir%/fuzz_place.h
fuzz_session_imap_CFLAGS = $(WARN_CFLAGS) $(FUZZ_OPTIMIZE) $(FUZZ_CFLAGS)
fuzz_session_imap_LDFLAGS = $(FUZZ_LINK)
fuzz_session_imap_LDADD = $(FUZZ_MAIN) $(FUZZ_LIBS)
fuzz_session_pop3_SOURCES = %reldir%/fuzz_session_pop3.c \
	%reldir%/fuzz_session.c %reldir%/fuzz_session.h %reldir%/fuzz_place.c %reldir%/fuzz_place.h
fuzz_session_pop3_CFLAGS = $(WARN_CFLAGS) $(FUZZ_OPTIMIZE) $(FUZZ_CFLAGS)
fuzz_session_pop3_LDFLAGS = $(FUZZ_LINK)
fuzz_session_pop3_LDADD = $(FUZZ_MAIN) $(FUZZ_LIBS)
fuzz_policy_SOURCES = %reldir%/fuzz_policy.c
fuzz_policy_CFLAGS = $(WARN_CFLAGS) $(FUZZ_OPTIMIZE) $(FUZZ_CFLAGS)
fuzz_policy_LDFLAGS = $(FUZZ_LINK)
fuzz_policy_LDADD = $(FUZZ_MAIN) $(FUZZ_LIBS)
fuzz_sasl_SOURCES = %reldir%/fuzz_sasl.c
fuzz_sasl_CFLAGS = $(WARN_CFLAGS) $(FUZZ_OPTIMIZE) $(FUZZ_CFLAGS)
fuzz_sasl_LDFLAGS = $(FUZZ_LINK)
fuzz_sasl_LDADD = $(FUZZ_MAIN) $(FUZZ_LIBS)
fuzz_sts_SOURCES = %reldir%/fuzz_sts.c
fuzz_sts_CFLAGS = $(WARN_CFLAGS) $(FUZZ_OPTIMIZE) $(FUZZ_CFLAGS)
fuzz_sts_LDFLAGS = $(FUZZ_LINK)
fuzz_sts_LDADD = $(FUZZ_MAIN) $(FUZZ_LIBS)
fuzz_token_SOURCES = %reldir%/fuzz_token.c
fuzz_token_CFLAGS = $(WARN_CFLAGS) $(FUZZ_OPTIMIZE) $(FUZZ_CFLAGS)
fuzz_token_LDFLAGS = $(FUZZ_LINK)
fuzz_token_LDADD = $(FUZZ_MAIN) $(FUZZ_LIBS)
fuzz_sendmail_SOURCES = %reldir%/fuzz_sendmail.c server/sendmail/message.c
fuzz_sendmail_CFLAGS = $(WARN_CFLAGS) $(FUZZ_OPTIMIZE) $(FUZZ_CFLAGS)
fuzz_sendmail_LDFLAGS = $(FUZZ_LINK)
fuzz_sendmail_LDADD = $(FUZZ_MAIN) $(FUZZ_LIBS)
fuzz_bind_SOURCES = %reldir%/fuzz_bind.c server/directory/bind_result.c
fuzz_bind_CFLAGS = $(WARN_CFLAGS) $(FUZZ_OPTIMIZE) $(FUZZ_CFLAGS)
fuzz_bind_LDFLAGS = $(FUZZ_LINK)
fuzz_bind_LDADD = $(FUZZ_MAIN) $(FUZZ_LIBS)
fuzz_report_SOURCES = %reldir%/fuzz_report.c server/queue/notice.c server/queue/words.c \
	server/queue/answer.c
fuzz_report_CFLAGS = $(WARN_CFLAGS) $(FUZZ_OPTIMIZE) $(FUZZ_CFLAGS)
fuzz_report_LDFLAGS = $(FUZZ_LINK)
fuzz_report_LDADD = $(FUZZ_MAIN) $(FUZZ_LIBS)
fuzz_resume_SOURCES = %reldir%/fuzz_resume.c %reldir%/fuzz_session.c %reldir%/fuzz_session.h \
	%reldir%/fuzz_place.c %reldir%/fuzz_place.h
fuzz_resume_CFLAGS = $(WARN_CFLAGS) $(FUZZ_OPTIMIZE) $(FUZZ_CFLAGS)
fuzz_resume_LDFLAGS = $(FUZZ_LINK)
fuzz_resume_LDADD = $(FUZZ_MAIN) $(FUZZ_LIBS)
# The smtp program itself, between a connection and programs that are played.
fuzz_session_smtp_SOURCES = %reldir%/fuzz_session_smtp.c %reldir%/fake_world.h %reldir%/fake_conn.c \
	%reldir%/fake_rpc.c $(SMTP_SESSION_SOURCES)
fuzz_session_smtp_CFLAGS = $(WARN_CFLAGS) $(FUZZ_OPTIMIZE) $(FUZZ_CFLAGS)
fuzz_session_smtp_LDFLAGS = $(FUZZ_LINK)
fuzz_session_smtp_LDADD = $(FUZZ_MAIN) $(FUZZ_LIBS)

# What of the access program a client meets before it has logged in.
fuzz_session_access_SOURCES = %reldir%/fuzz_session_access.c %reldir%/fake_world.h %reldir%/fake_conn.c \
	%reldir%/fake_rpc.c $(ACCESS_CLIENT_SOURCES)
fuzz_session_access_CFLAGS = $(WARN_CFLAGS) $(FUZZ_OPTIMIZE) $(FUZZ_CFLAGS)
fuzz_session_access_LDFLAGS = $(FUZZ_LINK)
fuzz_session_access_LDADD = $(FUZZ_MAIN) $(FUZZ_LIBS)

# A job of the relay program, with servers that are played.
fuzz_session_relay_SOURCES = %reldir%/fuzz_session_relay.c %reldir%/fake_world.h %reldir%/fake_conn.c \
	%reldir%/fake_rpc.c server/ipc/keys.c $(RELAY_JOB_SOURCES)
fuzz_session_relay_CFLAGS = $(WARN_CFLAGS) $(FUZZ_OPTIMIZE) $(FUZZ_CFLAGS)
fuzz_session_relay_LDFLAGS = $(FUZZ_LINK)
fuzz_session_relay_LDADD = $(FUZZ_MAIN) $(FUZZ_LIBS) $(OPENSSL_LIBS)

FUZZ_DICTIONARIES = %reldir%/mail.dict %reldir%/imap.dict %reldir%/pop3.dict %reldir%/smtp.dict \
	%reldir%/proxy.dict %reldir%/policy.dict %reldir%/sasl.dict %reldir%/sts.dict %reldir%/token.dict
EXTRA_DIST += %reldir%/run %reldir%/corpora $(FUZZ_DICTIONARIES) tests/corpus %reldir%/replay.py
TESTS += %reldir%/replay.py
%reldir%/replay.log: $(FUZZERS)
fuzz-programs: $(FUZZERS)
fuzz:
	$(MKDIR_P) fuzz-build
	test -f fuzz-build/Makefile || (cd fuzz-build && $(abs_top_srcdir)/configure -q CC=clang)
	cd fuzz-build && $(MAKE) fuzz-programs FUZZ_MAIN= FUZZ_LINK=-fsanitize=fuzzer,address,undefined \
	  FUZZ_CFLAGS='-fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined'
	cd fuzz-build && $(SHELL) $(abs_top_srcdir)/%reldir%/run $(abs_top_srcdir) $(FUZZ_SECONDS) $(FUZZERS)
.PHONY: fuzz fuzz-programs
