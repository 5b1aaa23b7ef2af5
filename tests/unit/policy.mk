if HAVE_CUNIT
check_PROGRAMS += unit-policy.t unit-rates.t
TESTS += unit-policy.t unit-rates.t
unit_policy_t_SOURCES = tests/unit/test_policy.c
unit_policy_t_LDADD = $(UNIT_LIBS) libpolicy.a $(BASE_LIBS)
unit_rates_t_SOURCES = tests/unit/test_rates.c
unit_rates_t_LDADD = $(UNIT_LIBS) $(IPC_LIBS)
endif
