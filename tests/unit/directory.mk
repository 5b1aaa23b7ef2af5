if HAVE_CUNIT
check_PROGRAMS += unit-directory.t
TESTS += unit-directory.t
unit_directory_t_SOURCES = \
	tests/unit/test_directory.c tests/unit/test_directory.h \
	tests/unit/test_directory_names.c tests/unit/test_directory_grants.c \
	tests/unit/test_directory_graph.c tests/unit/test_directory_servers.c \
	tests/unit/test_directory_user.c
unit_directory_t_LDADD = $(UNIT_LIBS) libdirectory.a libldapmap.a libsasl.a $(MAIL_LIBS) $(IPC_LIBS) $(LDAP_LIBS)
endif
