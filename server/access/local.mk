facteurlibexec_PROGRAMS += access
access_SOURCES = \
	%reldir%/access.h %reldir%/main.c %reldir%/client.c %reldir%/imap.c \
	%reldir%/login.c %reldir%/pop3.c %reldir%/relay.c
access_LDADD = libimap.a libpop3.a libsasl.a $(IPC_LIBS)
