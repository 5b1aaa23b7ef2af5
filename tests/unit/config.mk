if HAVE_CUNIT
check_PROGRAMS += unit-config.t
TESTS += unit-config.t
unit_config_t_SOURCES = tests/unit/test_config.c
unit_config_t_LDADD = $(UNIT_LIBS) libconfig.a $(BASE_LIBS)
endif
