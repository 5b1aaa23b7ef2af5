noinst_LIBRARIES += libio.a
libio_a_SOURCES = \
	%reldir%/addr.h %reldir%/addr.c \
	%reldir%/proxy.h %reldir%/proxy.c \
	%reldir%/tls.h %reldir%/tls.c \
	%reldir%/conn.h %reldir%/conn.c \
	%reldir%/web.h %reldir%/web.c
