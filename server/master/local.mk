sbin_PROGRAMS += facteurd
facteurd_SOURCES = \
	%reldir%/main.c %reldir%/master.h %reldir%/master.c \
	%reldir%/kinds.h %reldir%/kinds.c \
	%reldir%/material.h %reldir%/material.c %reldir%/relaying.c %reldir%/balancers.c %reldir%/tokens.c \
	%reldir%/findings.c %reldir%/users.c \
	%reldir%/files.c %reldir%/tables.c %reldir%/trials.c %reldir%/certificates.c %reldir%/places.c \
	%reldir%/ports.h %reldir%/ports.c \
	%reldir%/life.c %reldir%/spawn.c %reldir%/child.c %reldir%/links.c \
	%reldir%/sessions.c %reldir%/live.h %reldir%/live.c %reldir%/connect.c %reldir%/reload.c %reldir%/control.c %reldir%/explain.c %reldir%/orders.c
facteurd_LDADD = libmail.a $(LDAPMAP_LIBS) $(IPC_LIBS)
dist_man_MANS += %reldir%/facteurd.8
