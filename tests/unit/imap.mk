if HAVE_CUNIT
check_PROGRAMS += unit-imap-reader.t unit-imap-args.t unit-imap-session.t
TESTS += unit-imap-reader.t unit-imap-args.t unit-imap-session.t
unit_imap_reader_t_SOURCES = tests/unit/test_imap_reader.c
unit_imap_reader_t_LDADD = $(UNIT_LIBS) libimap.a $(BASE_LIBS)
unit_imap_args_t_SOURCES = tests/unit/test_imap_args.c
unit_imap_args_t_LDADD = $(UNIT_LIBS) libimap.a $(MAIL_LIBS)
unit_imap_session_t_SOURCES = tests/unit/test_imap_session.c
unit_imap_session_t_LDADD = $(UNIT_LIBS) $(SESSION_LIBS)
endif
