if HAVE_CUNIT
check_PROGRAMS += unit-rules.t
TESTS += unit-rules.t
unit_rules_t_SOURCES = tests/unit/test_rules.c
unit_rules_t_LDADD = $(UNIT_LIBS) libdirectory.a libldapmap.a libsasl.a $(MAIL_LIBS) $(IPC_LIBS) $(LDAP_LIBS)
endif
