# One grammar a folder; each folder lists its own files.
include server/protocol/imap/local.mk
include server/protocol/smtp/local.mk
include server/protocol/sasl/local.mk
include server/protocol/pop3/local.mk
include server/protocol/milter/local.mk
include server/protocol/policy/local.mk
