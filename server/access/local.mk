facteurlibexec_PROGRAMS += access
ACCESS_CLIENT_SOURCES = %reldir%/access.h %reldir%/client.c %reldir%/imap.c \
	%reldir%/login.c %reldir%/pop3.c %reldir%/relay.c
access_SOURCES = %reldir%/main.c $(ACCESS_CLIENT_SOURCES)
access_LDADD = libimap.a libpop3.a libsasl.a $(IPC_LIBS)
