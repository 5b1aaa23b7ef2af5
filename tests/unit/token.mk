if HAVE_CUNIT
check_PROGRAMS += unit-token.t
TESTS += unit-token.t
unit_token_t_SOURCES = tests/unit/test_token.c
unit_token_t_LDADD = $(UNIT_LIBS) libfilter.a libconfig.a $(BASE_LIBS) $(JANSSON_LIBS)
endif
