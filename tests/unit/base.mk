if HAVE_CUNIT
check_PROGRAMS += unit-base.t
TESTS += unit-base.t
unit_base_t_SOURCES = tests/unit/test_base.c
unit_base_t_LDADD = $(UNIT_LIBS) $(BASE_LIBS)
endif
