if HAVE_CUNIT
check_PROGRAMS += unit-pop3.t
TESTS += unit-pop3.t
unit_pop3_t_SOURCES = tests/unit/test_pop3.c
unit_pop3_t_LDADD = $(UNIT_LIBS) libpop3.a $(BASE_LIBS)
endif
