# Programs under test are started here as the master starts them.
check_LIBRARIES += libtestmaster.a
libtestmaster_a_SOURCES = %reldir%/testmaster.c %reldir%/testmaster.h
TESTMASTER_LIBS = libtestmaster.a $(IPC_LIBS)

check_PROGRAMS += delivclient
delivclient_SOURCES = %reldir%/delivclient.c
delivclient_LDADD = $(TESTMASTER_LIBS)

check_PROGRAMS += dirclient
dirclient_SOURCES = %reldir%/dirclient.c
dirclient_LDADD = $(TESTMASTER_LIBS)
