"""The bank: a port of messages (`bank_message`) and a simulator behind it (schema `bank_sim`)."""
