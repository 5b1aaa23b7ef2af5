if HAVE_CUNIT
MAIL_TESTS = unit-mail-address.t unit-mail-header.t unit-mail-mime.t unit-mail-encoding.t \
	unit-mail-subject.t
check_PROGRAMS += $(MAIL_TESTS)
TESTS += $(MAIL_TESTS)
unit_mail_address_t_SOURCES = tests/unit/test_mail_address.c tests/unit/mail_prefix.h
unit_mail_address_t_LDADD = $(UNIT_LIBS) $(MAIL_LIBS)
unit_mail_header_t_SOURCES = tests/unit/test_mail_header.c tests/unit/mail_prefix.h
unit_mail_header_t_LDADD = $(UNIT_LIBS) $(MAIL_LIBS)
unit_mail_mime_t_SOURCES = tests/unit/test_mail_mime.c tests/unit/mail_prefix.h
unit_mail_mime_t_LDADD = $(UNIT_LIBS) $(MAIL_LIBS)
unit_mail_encoding_t_SOURCES = tests/unit/test_mail_encoding.c tests/unit/mail_prefix.h
unit_mail_encoding_t_LDADD = $(UNIT_LIBS) $(MAIL_LIBS)
unit_mail_subject_t_SOURCES = tests/unit/test_mail_subject.c
unit_mail_subject_t_LDADD = $(UNIT_LIBS) $(MAIL_LIBS)
endif
EXTRA_DIST += tests/corpus/mime
