sbin_PROGRAMS += facteur
facteur_SOURCES = \
	%reldir%/main.c %reldir%/tools.h %reldir%/check.c %reldir%/control.c %reldir%/status.c \
	%reldir%/conf.h %reldir%/conf.c %reldir%/conf_edit.c
facteur_LDADD = libconfig.a $(BASE_LIBS)
dist_man_MANS += %reldir%/facteur.8
