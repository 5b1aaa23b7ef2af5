check_PROGRAMS += mail-dump
mail_dump_SOURCES = tests/system/mail_dump.c
mail_dump_LDADD = $(MAIL_LIBS)
TESTS += tests/system/mail_dovecot.py
EXTRA_DIST += tests/system/mail_dovecot.py
