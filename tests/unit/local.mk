UNIT_LIBS = libunit.a $(CUNIT_LIBS)

if HAVE_CUNIT
check_LIBRARIES += libunit.a
libunit_a_SOURCES = %reldir%/unit.c %reldir%/unit.h
endif

include tests/unit/base.mk
include tests/unit/config.mk
include tests/unit/confine.mk
include tests/unit/ipc.mk
include tests/unit/imap.mk
include tests/unit/io.mk
include tests/unit/ldapmap.mk
include tests/unit/mail.mk
include tests/unit/smtp.mk
include tests/unit/store.mk
include tests/unit/queue.mk
include tests/unit/deliver.mk
include tests/unit/search.mk
include tests/unit/directory.mk
include tests/unit/pop3.mk
include tests/unit/relay.mk
include tests/unit/milter.mk
include tests/unit/proxy.mk
include tests/unit/policy.mk
include tests/unit/token.mk
include tests/unit/rules.mk
