noinst_LIBRARIES += libconfig.a
libconfig_a_SOURCES = \
	%reldir%/config.h %reldir%/options.def \
	%reldir%/options.c %reldir%/parse.c %reldir%/export.c %reldir%/network.c \
	%reldir%/maps.c %reldir%/ldap.c %reldir%/endpoint.h %reldir%/endpoint.c \
	%reldir%/introspection.h %reldir%/introspection.c \
	%reldir%/style.c %reldir%/rules.h %reldir%/rules.c %reldir%/states.h %reldir%/states.c
