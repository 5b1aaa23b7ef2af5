if HAVE_CUNIT
check_PROGRAMS += unit-confine.t
TESTS += unit-confine.t
unit_confine_t_SOURCES = tests/unit/test_confine.c
unit_confine_t_LDADD = $(UNIT_LIBS) libconfine.a $(BASE_LIBS)
endif
