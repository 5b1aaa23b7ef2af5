if HAVE_CUNIT
check_PROGRAMS += unit-sasl.t
TESTS += unit-sasl.t
unit_sasl_t_SOURCES = tests/unit/test_sasl.c
unit_sasl_t_LDADD = $(UNIT_LIBS) libsasl.a $(BASE_LIBS)
endif
