if HAVE_CUNIT
check_PROGRAMS += unit-io.t
TESTS += unit-io.t
unit_io_t_SOURCES = tests/unit/test_io.c
unit_io_t_LDADD = $(UNIT_LIBS) libio.a $(BASE_LIBS) $(EVENT_LIBS) $(OPENSSL_LIBS)
endif
