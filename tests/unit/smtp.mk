if HAVE_CUNIT
check_PROGRAMS += unit-sasl.t
TESTS += unit-sasl.t
unit_sasl_t_SOURCES = tests/unit/test_sasl.c
unit_sasl_t_LDADD = $(UNIT_LIBS) libsasl.a $(BASE_LIBS)
endif
if HAVE_CUNIT
check_PROGRAMS += unit-smtp-data.t unit-smtp-command.t
TESTS += unit-smtp-data.t unit-smtp-command.t
unit_smtp_data_t_SOURCES = tests/unit/test_smtp_data.c
unit_smtp_data_t_LDADD = $(UNIT_LIBS) libsmtp.a $(MAIL_LIBS)
unit_smtp_command_t_SOURCES = tests/unit/test_smtp_command.c
unit_smtp_command_t_LDADD = $(UNIT_LIBS) libsmtp.a $(MAIL_LIBS)
endif
