/*
 * The trace lines that delivery writes before a message (RFC 5321 section 4.4, and Postfix's and
 * Dovecot's custom): Return-Path, X-Original-To, Delivered-To. Pure.
 */
#ifndef FACTEUR_DELIVER_HEADER_H
#define FACTEUR_DELIVER_HEADER_H

#include "base/err.h"
#include "base/mem.h"

/* Appends the three lines, each ended by LF, and behind them the lines of prefix. An empty sender is the
 * null path "<>". A value that is not UTF-8 text of one line, an empty address or original, or a
 * prefix that is not whole lines of text, could forge a header: -1 and a permanent error that names
 * the field; out is as it was. */
int deliver_header(struct buf *out, struct str sender, struct str original, struct str address,
                   struct str prefix, struct err *e);

#endif
