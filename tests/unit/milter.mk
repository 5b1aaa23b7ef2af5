if HAVE_CUNIT
check_PROGRAMS += unit-milter.t
TESTS += unit-milter.t
unit_milter_t_SOURCES = tests/unit/test_milter.c
unit_milter_t_LDADD = $(UNIT_LIBS) libmilter.a libconfig.a $(MAIL_LIBS)
endif
