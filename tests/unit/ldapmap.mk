if HAVE_CUNIT
check_PROGRAMS += unit-ldapmap.t
TESTS += unit-ldapmap.t
unit_ldapmap_t_SOURCES = tests/unit/test_ldapmap.c
unit_ldapmap_t_LDADD = $(UNIT_LIBS) $(LDAPMAP_LIBS)
endif
